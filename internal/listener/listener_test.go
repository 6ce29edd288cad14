package listener

import "testing"

func TestTakes_MessagesToAWorker(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{
		">": true, "p.>": true, "p.msg.>": true, "p.msg.w.>": true, "p.msg.w.*.*": true, "*.*.w.a.b": true, "p.msg.w.a.b": true, "p.msg.*.a.>": true,
		"p.msg.v.*.*": false, "p.msg": false, "p.job.>": false, "p.msg.w.*": false, "p.msg.w.a.b.c": false, "q.>": false, "*": false,
	} {
		if got := Takes("p", pattern, "w"); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
	if !Takes("p", Messages("p"), "*") || !Takes("p", "p.msg.w.>", "*") || Takes("p", "p.job.>", "*") {
		t.Error("any worker")
	}
}

func TestWorker_IsTheOnlyOne(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		">": "", "p.>": "", "p.msg.>": "", "p.msg.*.*.*": "", "p.*.>": "", "*.msg.w.>": "w", "p.msg.w.a.b": "w", "p.msg.w.>": "w",
	} {
		if got := Worker(pattern); got != want {
			t.Errorf("%s: %q", pattern, got)
		}
	}
}

func TestRightful_IsTheQueueGroupOfItsWorker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subject, queue string
		want           bool
	}{
		{"p.msg.w.*.*", "w", true}, {"p.msg.w.>", "w", true}, {"p.msg.w.a.*", "w", true},
		{"p.msg.w.*.*", "", false}, {"p.msg.w.*.*", "v", false}, {"p.msg.*.*.*", "w", false}, {"p.msg.>", "w", false}, {"p.>", "w", false},
		{">", "w", false}, {">", "", false}, {"*.msg.w.*.*", "w", false}, {"p.msg.*.*.*", "*", false},
	} {
		if got := Rightful("p", c.subject, c.queue); got != c.want {
			t.Errorf("%s in %q: %v", c.subject, c.queue, got)
		}
	}
}
