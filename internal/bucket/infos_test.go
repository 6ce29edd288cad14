package bucket_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/internal/bucket"
)

// In an election the list of streams lacks those without a leader.
func TestInfos_NamesThoseThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, false))
	const config = `{"config":{"name":"NAME","subjects":["d.job.w.>"]},"state":{"messages":3}}`
	for subject, answer := range map[string]string{
		"LIST":        `{"total":4,"offset":0,"limit":256,"streams":[` + strings.Replace(config, "NAME", "LED", 1) + `],"missing":["ELECTED","SILENT","GONE"]}`,
		"INFO.GONE":   `{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`,
		"INFO.SILENT": "",
		// Its election is over.
		"INFO.ELECTED": strings.Replace(config, "NAME", "ELECTED", 1),
	} {
		if _, err := js.Conn().Subscribe("$JS.API.STREAM."+subject, func(m *nats.Msg) {
			if answer != "" {
				_ = m.Respond([]byte(answer))
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	infos, silent, err := bucket.Infos(t.Context(), js, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 2 || infos[0].Config.Name != "LED" || infos[1].Config.Name != "ELECTED" || infos[1].State.Msgs != 3 {
		t.Errorf("there are %+v", infos)
	}
	if len(silent) != 1 || silent[0] != "SILENT" {
		t.Errorf("silent are %q", silent)
	}
}
