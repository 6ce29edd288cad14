package damrey_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/damreytest"
	"github.com/rs/zerolog"
)

// exampleFabric stands for the broker and table that `damrey dev` gives.
func exampleFabric(regs ...damrey.Registration) *damreytest.Fabric {
	f, err := damreytest.New()
	if err != nil {
		log.Fatal(err)
	}
	f.Register(regs...)
	return f
}

func closeExample(f *damreytest.Fabric) {
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}

// A worker with a handler, and somebody who asks it.
func Example() {
	f := exampleFabric(
		damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "greet", Worker: "hello"}}},
		damrey.Registration{Name: "hello"},
	)
	defer closeExample(f)

	hello := damrey.New(damrey.Config{Name: "hello"}, zerolog.Nop(), f.Option())
	hello.Handle("greet", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.Reply("hello " + in.Arg(0)), nil
	})
	f.Serve(hello) // elsewhere: hello.Serve(ctx)

	entry := damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), f.Option())
	f.Serve(entry)
	answer, err := entry.Request(context.Background(), "greet", "world")
	fmt.Println(answer.Arg(0), err)
	// Output: hello world <nil>
}

// A REQUEST as a handler's output goes on along the worker's own routes, and
// the last worker's answer comes back to who asked first.
func ExampleInstance_Handle() {
	f := exampleFabric(
		damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "add", Worker: "add"}}},
		damrey.Registration{Name: "add", Commands: []damrey.Command{{Name: "square", Worker: "square"}}},
		damrey.Registration{Name: "square"},
	)
	defer closeExample(f)

	add := damrey.New(damrey.Config{Name: "add"}, zerolog.Nop(), f.Option())
	add.Handle("add", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		sum := 0
		for _, arg := range in.Args() {
			n, err := strconv.Atoi(arg)
			if err != nil {
				return nil, err // becomes an ERROR with this text
			}
			sum += n
		}
		return damrey.NewRequest("square", strconv.Itoa(sum)), nil
	})
	f.Serve(add)
	square := damrey.New(damrey.Config{Name: "square"}, zerolog.Nop(), f.Option())
	square.Handle("square", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		n, err := strconv.Atoi(in.Arg(0))
		return damrey.Reply(strconv.Itoa(n * n)), err
	})
	f.Serve(square)

	entry := f.Client("entry", damrey.Command{Name: "add", Worker: "add"})
	answer, err := entry.Request(context.Background(), "add", "3", "4")
	fmt.Println(answer.Arg(0), err)
	_, err = entry.Request(context.Background(), "add", "3", "four")
	fmt.Println(err)
	// Output:
	// 49 <nil>
	// damrey: strconv.Atoi: parsing "four": invalid syntax
}

// The first middleware is the outermost, and that of WithMiddleware lies
// outside of that of Handle.
func ExampleWithMiddleware() {
	f := exampleFabric(damrey.Registration{Name: "w"})
	defer closeExample(f)

	say := func(name string) damrey.Middleware {
		return func(next damrey.HandlerFunc) damrey.HandlerFunc {
			return func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
				fmt.Println("enter", name)
				defer fmt.Println("leave", name)
				return next(ctx, in)
			}
		}
	}
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop(), f.Option(),
		damrey.WithMiddleware(say("first"), say("second")))
	w.Handle("x", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		fmt.Println("handler")
		return nil, nil
	}, say("third"))
	f.Serve(w)

	client := f.Client("client", damrey.Command{Name: "x", Worker: "w"})
	if _, err := client.Request(context.Background(), "x"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// enter first
	// enter second
	// enter third
	// handler
	// leave third
	// leave second
	// leave first
}

// What came instead of a RESPONSE is an error that says which.
func ExampleInstance_Request() {
	f := exampleFabric(damrey.Registration{Name: "w"})
	defer closeExample(f)
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop(), f.Option())
	w.Handle("slow", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	w.Handle("refuse", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		return damrey.Fail("not today", "tomorrow"), nil
	})
	f.Serve(w)

	client := f.Client("client",
		damrey.Command{Name: "slow", Worker: "w"},
		damrey.Command{Name: "refuse", Worker: "w"},
		damrey.Command{Name: "gone", Worker: "nobody"})
	for _, typ := range []string{"slow", "refuse", "gone", "unknown"} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		answer, err := client.Request(ctx, typ)
		var refused *damrey.ReplyError
		switch {
		case errors.Is(err, damrey.ErrTimeout):
			fmt.Println(typ, "took too long")
		case errors.Is(err, damrey.ErrNoInstance):
			fmt.Println(typ, "has nobody there")
		case errors.Is(err, damrey.ErrNoRoute):
			fmt.Println(typ, "has no route")
		case errors.As(err, &refused):
			fmt.Println(typ, "was refused:", refused.Text, answer.Arg(1))
		}
		cancel()
	}
	// Output:
	// slow took too long
	// refuse was refused: not today tomorrow
	// gone has nobody there
	// unknown has no route
}

// Sends return at once; Flush tells what became of them.
func ExampleInstance_Flush() {
	f := exampleFabric(damrey.Registration{Name: "log"})
	defer closeExample(f)
	w := damrey.New(damrey.Config{Name: "log"}, zerolog.Nop(), f.Option())
	w.Handle("line", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, nil })
	f.Serve(w)

	client := f.Client("client",
		damrey.Command{Name: "line", Worker: "log"},
		damrey.Command{Name: "lost", Worker: "nobody"})
	ctx := context.Background()
	for _, typ := range []string{"line", "lost"} {
		if err := client.Send(ctx, typ, "some text"); err != nil {
			fmt.Println(err)
		}
		fmt.Println(typ, client.Flush(ctx))
	}
	// Output:
	// line <nil>
	// lost damrey: sends were not delivered: 1, 1 on client→lost→nobody
}

// The channels of the original interface.
func ExampleWorker() {
	f := exampleFabric(damrey.Registration{Name: "echo"})
	defer closeExample(f)
	echo := damrey.New(damrey.Config{Rc: 3, Name: "echo", Timeout: 2 * time.Second}, zerolog.Nop(), f.Option())
	go echo.Run()
	<-echo.Ready()
	go func() {
		for msg := range echo.RecvChannel() {
			msg.Rch <- damrey.Reply(msg.Msg[2:]...)
		}
	}()

	var client damrey.Worker = f.Client("client", damrey.Command{Name: "hello", Worker: "echo"})
	msg := &damrey.Message{
		Timeout: 1 * time.Second,
		Rch:     make(chan []string),
		Msg:     []string{damrey.REQUEST, "hello", "hello world"},
	}
	client.SendChannel() <- msg
	fmt.Println(<-msg.Rch)
	echo.Stop()
	close(client.SendChannel())
	// Output: [RESPONSE hello hello world]
}

// A durable route stores its messages until an instance has handled them. An id
// of the application's own is stored once.
func ExampleInstance_With() {
	f := exampleFabric(
		damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "pay", Worker: "bank", Delivery: damrey.Durable}}},
		damrey.Registration{Name: "bank"},
	)
	defer closeExample(f)

	entry := damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), f.Option())
	f.Serve(entry)
	ctx := context.Background()
	order := entry.With(damrey.WithID("order-42"))
	fmt.Println(order.Send(ctx, "pay", "7"), order.Send(ctx, "pay", "7"))
	fmt.Println(errors.Is(order.Send(ctx, "pay", "8"), damrey.ErrIDConflict))

	paid := make(chan string, 2)
	bank := damrey.New(damrey.Config{Name: "bank"}, zerolog.Nop(), f.Option())
	bank.Handle("pay", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		paid <- damrey.MessageID(ctx) + ": " + in.Arg(0)
		return nil, nil
	})
	f.Serve(bank)
	fmt.Println(<-paid)
	// Output:
	// <nil> <nil>
	// true
	// order-42: 7
}

// A handler sees how its stored message came here, such as on the last attempt.
func ExampleStoredMessage() {
	f := exampleFabric(
		damrey.Registration{Name: "entry", Commands: []damrey.Command{{
			Name: "pay", Worker: "bank", Delivery: damrey.Durable, Attempts: 3, Backoff: damrey.Duration(time.Millisecond),
		}}},
		damrey.Registration{Name: "bank"},
	)
	defer closeExample(f)

	paid := make(chan string, 3)
	bank := damrey.New(damrey.Config{Name: "bank"}, zerolog.Nop(), f.Option())
	bank.Handle("pay", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		m, _ := damrey.StoredMessage(ctx)
		paid <- fmt.Sprintf("attempt %d of %s, message %d", m.Failures+1, m.ID, m.Sequence)
		if m.Failures < 2 {
			return nil, errors.New("not yet")
		}
		return nil, nil
	})
	f.Serve(bank)
	entry := damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), f.Option())
	f.Serve(entry)
	fmt.Println(entry.With(damrey.WithID("order-42")).Send(context.Background(), "pay", "7"))
	fmt.Println(<-paid)
	fmt.Println(<-paid)
	fmt.Println(<-paid)
	// Output:
	// <nil>
	// attempt 1 of order-42, message 2
	// attempt 2 of order-42, message 2
	// attempt 3 of order-42, message 2
}

// A message can be sent later, on any route, and be taken back until then.
func ExampleWithDelay() {
	f := exampleFabric(
		damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "remind", Worker: "phone"}}},
		damrey.Registration{Name: "phone"},
	)
	defer closeExample(f)

	phone := damrey.New(damrey.Config{Name: "phone"}, zerolog.Nop(), f.Option())
	rang := make(chan string)
	phone.Handle("remind", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		rang <- in.Arg(0)
		return nil, nil
	})
	f.Serve(phone)

	entry := damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), f.Option())
	f.Serve(entry)
	ctx := context.Background()
	fmt.Println(entry.With(damrey.WithDelay(time.Hour), damrey.WithID("call 7")).Send(ctx, "remind", "call back"))
	fmt.Println(entry.Cancel(ctx, "call 7"))
	fmt.Println(errors.Is(entry.Cancel(ctx, "call 7"), damrey.ErrNotScheduled))
	fmt.Println(entry.With(damrey.WithDelay(time.Second)).Send(ctx, "remind", "tea is ready"))
	fmt.Println(<-rang)
	// Output:
	// <nil>
	// <nil>
	// true
	// <nil>
	// tea is ready
}

// A future tells what became of a send, here of many that are under way at once.
func ExampleInstance_SendAsync() {
	f := exampleFabric(
		damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "pay", Worker: "bank", Delivery: damrey.Durable}}},
		damrey.Registration{Name: "bank", MaxMessages: 3},
	)
	defer closeExample(f)

	entry := damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), f.Option())
	f.Serve(entry)
	ctx := context.Background()
	var futures []*damrey.Future
	for i := range 5 {
		futures = append(futures, entry.SendAsync(ctx, "pay", strconv.Itoa(i)))
	}
	stored, full := 0, 0
	for _, future := range futures {
		switch err := future.Wait(ctx); {
		case err == nil:
			stored++
		case errors.Is(err, damrey.ErrFull):
			full++
		}
	}
	fmt.Println(stored, "stored,", full, "refused")
	// Output: 3 stored, 2 refused
}
