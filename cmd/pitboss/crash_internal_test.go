package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
)

// Every answer that a caller got survives kill -9 of the server, to the byte: it is given again, and it replays.
// PITBOSS_ROUNDS kills, PITBOSS_SEED says when.
func TestCrashServerKeepsEveryAnswer(t *testing.T) {
	seed := number(t, "PITBOSS_SEED", 1)
	rounds := number(t, "PITBOSS_ROUNDS", 1)
	t.Logf("PITBOSS_SEED=%d PITBOSS_ROUNDS=%d", seed, rounds)
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	h := newHouse(t)
	address, err := freeAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.edit(t, `http: \S+`, "http: "+address)
	answered := map[string]string{} // by request: the decision, without what is of the call
	for round := range rounds {
		child := startChild(t, h, address)
		for body, want := range answered {
			if got := askAgain(t, address, h.key, body); got != want {
				t.Fatalf("round %d: the answer was %s, and is %s after the crash", round, want, got)
			}
		}
		clear(answered) // those are on record; the next round is about its own
		enough := 20 + rng.IntN(200)
		loadUntilKilled(t, child, address, h.key, round, enough, answered)
		if len(answered) < enough {
			t.Fatalf("round %d: %d answers before the crash, want %d", round, len(answered), enough)
		}
	}
	// The last crash is looked at by a server in this process, and by replay.
	h.edit(t, `http: \S+`, "http: 127.0.0.1:0")
	r := serve(t, h)
	for body, want := range answered {
		if got := askAgain(t, strings.TrimPrefix(r.http, "http://"), h.key, body); got != want {
			t.Fatalf("the answer was %s, and is %s after the crash", want, got)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	out := must(t, "replay", "--config", h.config, "--all")
	if !strings.Contains(out.out, " 0 different, 0 could not be made again") {
		t.Errorf("%v", out)
	}
	t.Logf("%d answers in the last round; %s", len(answered), strings.TrimSpace(out.out))
}

func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// startChild runs this test program as `pitboss serve` in a process of its own, and waits until it is ready.
func startChild(t *testing.T, h house, address string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "serve", "--config", h.config)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	log, err := os.OpenFile(h.path("child.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = errors.Join(cmd.Process.Kill(), cmd.Wait())
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", read(t, h.path("child.log")))
		}
	})
	await(t, "the child to be ready", func() bool {
		code, _, err := call(t.Context(), http.MethodGet, "http://"+address+"/readyz", h.key, "")
		return err == nil && code == http.StatusOK
	})
	return cmd
}

// loadUntilKilled asks from several callers at once, kills the child when there are enough answers, and collects all that
// came.
func loadUntilKilled(t *testing.T, child *exec.Cmd, address, key string, round, enough int, answered map[string]string) {
	t.Helper()
	var mu sync.Mutex // guards answered and killed
	killed := false
	var callers sync.WaitGroup
	for w := range 4 {
		callers.Go(func() {
			for i := 0; ; i++ {
				body := bet(fmt.Sprintf("crash-%d-%d-%d", round, w, i), 100+i)
				got, err := ask(t.Context(), address, key, body)
				mu.Lock()
				if err == nil && got != "" {
					answered[body] = got
				}
				kill := !killed && (err != nil || len(answered) >= enough)
				if kill {
					killed = true
					if signalErr := child.Process.Signal(syscall.SIGKILL); signalErr != nil {
						t.Error(signalErr)
					}
				}
				mu.Unlock()
				if err != nil {
					return // the server is dead
				}
			}
		})
	}
	callers.Wait()
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	http.DefaultClient.CloseIdleConnections()
}

// askAgain asks until the answer is one that was kept: on a machine that stands still the record may not be read within
// the deadline either.
func askAgain(t *testing.T, address, key, body string) (got string) {
	t.Helper()
	await(t, "an answer that is kept", func() bool {
		var err error
		if got, err = ask(t.Context(), address, key, body); err != nil {
			t.Fatal(err)
		}
		return got != ""
	})
	return got
}

// ask gives a decision without what is of the call: how long it took, and whether it is new. It is empty where the answer
// itself says that it could not be kept, as on a machine that stands still for longer than the deadline.
func ask(ctx context.Context, address, key, body string) (string, error) {
	code, data, err := call(ctx, http.MethodPost, "http://"+address+"/v1/decisions", key, body)
	if err != nil {
		return "", err
	}
	if code != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", code, data)
	}
	d := &pb.Decision{}
	err = protojson.Unmarshal(data, d)
	if err != nil {
		return "", err
	}
	if notKept(d) {
		return "", nil
	}
	d.TimingsUs, d.Status = nil, 0
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	return fmt.Sprintf("%x", text), err
}
