# `make` builds; every other target is one thing that .ci/run does too.
.PHONY: build test race faults chaos view-load lint fuzz example ci clean

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME := 50000x

build:
	go build -o bin/ ./cmd/damrey

test:
	go test ./...

race:
	go test -race -timeout 15m ./...

# Every fault, about seven minutes; `go test ./...` runs the quick ones.
faults:
	go test -count=1 -v -timeout 30m ./test/faults -faults.all

# Five minutes of faults on a whole cluster, for each of three seeds; `go test ./...` runs one minute.
CHAOS_SEEDS := 31 33 41
chaos: build
	for seed in $(CHAOS_SEEDS); do bin/damrey chaos --minutes 5 --seed $$seed || exit 1; done

# What seeing 1,000 instances and 2,000 routes costs the proxy, about a minute and a half.
view-load:
	go test -count=1 -v ./test/viewload -viewload.full

lint:
	test -z "$$(gofmt -l .)"
	go vet ./...
	go run $(GOLANGCI) run ./...

fuzz:
	for p in $$(go list . ./internal/...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p || exit 1; \
		done; \
	done

example:
	sh examples/square/run

ci:
	.ci/run

clean:
	rm -rf bin
