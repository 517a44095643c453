//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	pb "pitboss/proto/pitboss/v1"
)

// smallDisk is a file system of a few megabytes.
type smallDisk string

// mountSmallDisk puts one at a place. Only root may mount: elsewhere the test says loudly that it did not run.
func mountSmallDisk(t *testing.T, at string, size int) smallDisk {
	t.Helper()
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("NOT TESTED: a disk that runs full. Mounting a small tmpfs needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Errorf("cannot unmount %q: %v", at, err)
		}
	})
	return smallDisk(at)
}

// fill takes all room, to the last byte.
func (d smallDisk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(filepath.Join(string(d), "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			if n == 0 {
				size /= 2
			}
		case err != nil:
			t.Fatal(err)
		}
	}
}

// free gives it back.
func (d smallDisk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(string(d), "filler")); err != nil {
		t.Fatal(err)
	}
}

// The disk with journal and state runs full under a server in a process of its own: it says so in answers, readiness,
// metrics and log, accepts nothing, and goes on by itself when there is room. No answer that was kept is lost; what was not
// kept may be asked again.
func mustAddress(t *testing.T) string {
	t.Helper()
	address, err := freeAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestFullDiskEndsByItself(t *testing.T) {
	h := newHouse(t)
	disk := mountSmallDisk(t, h.path("data"), 160<<20)
	address := mustAddress(t)
	h.edit(t, `http: \S+`, "http: "+address)
	child := startChild(t, h, address)
	get := func(path string) (int, string) {
		t.Helper()
		code, data, err := call(t.Context(), http.MethodGet, "http://"+address+path, h.key, "")
		if err != nil {
			t.Fatal(err)
		}
		return code, string(data)
	}
	decide := func(body string) *pb.Decision {
		t.Helper()
		code, data, err := call(t.Context(), http.MethodPost, "http://"+address+"/v1/decisions", h.key, body)
		d := &pb.Decision{}
		if err != nil || code != http.StatusOK {
			t.Fatalf("status %d, %s, %v, want a decision", code, data, err)
		}
		if err := protojson.Unmarshal(data, d); err != nil {
			t.Fatal(err)
		}
		return d
	}

	kept := map[string]string{} // by request
	keep := func(round string) {
		t.Helper()
		for i := range 50 {
			body := bet(fmt.Sprintf("%s-%d", round, i), 100+i)
			await(t, "a decision that is kept", func() bool {
				var err error
				kept[body], err = ask(t.Context(), address, h.key, body)
				return err == nil && kept[body] != ""
			})
		}
	}
	keep("before")

	disk.fill(t)
	lost := ""
	for i := 0; lost == ""; i++ { // what lies in a page that the file has already can still be written
		body := bet(fmt.Sprintf("full-%d", i), 100)
		if d := decide(body); notKept(d) {
			lost = body
			if d.GetScore() != 0 || len(d.GetReactions()) != 0 {
				t.Errorf("decision on a full disk = %v, want the default outcome alone", d)
			}
		}
		if i == 1000 {
			t.Fatal("1,000 decisions were kept on a full disk")
		}
	}
	await(t, "readiness to end", func() bool {
		code, body := get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "the disk is full")
	})
	if _, body := get("/metrics"); !strings.Contains(body, "pitboss_journal_disk_full 1") {
		t.Error("/metrics has no pitboss_journal_disk_full 1 on a full disk")
	}
	if log := read(t, h.path("child.log")); !strings.Contains(log, "no space left") {
		t.Errorf("the log does not say that the disk is full:\n%s", log)
	}
	event := strings.TrimSuffix(strings.TrimPrefix(bet("published", 100), `{"event": `), `, "options": {"deadline_ms": 50}}`)
	if code, data, err := call(t.Context(), http.MethodPost, "http://"+address+"/v1/events", h.key, `{"events": [`+event+`]}`); err != nil || code < 500 && !strings.Contains(string(data), "UNAVAILABLE") {
		t.Errorf("events on a full disk: status %d, %s, %v, want them refused", code, data, err)
	}

	disk.free(t)
	await(t, "readiness to come back by itself", func() bool {
		code, _ := get("/readyz")
		return code == http.StatusOK
	})
	if _, body := get("/metrics"); !strings.Contains(body, "pitboss_journal_disk_full 0") {
		t.Error("/metrics has no pitboss_journal_disk_full 0 after there was room")
	}
	await(t, "what was not kept to be decided", func() bool { return !notKept(decide(lost)) })
	keep("after")

	// Full again, and the end comes just then: the next start has room, and has lost nothing.
	disk.fill(t)
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("the end on a full disk: %v, want a failure that is said, and no signal", err)
	}
	if log := read(t, h.path("child.log")); !strings.Contains(log, "which the next start recovers") || strings.Contains(log, "goroutine ") {
		t.Errorf("the log does not say that the state was left as it was:\n%s", log)
	}
	http.DefaultClient.CloseIdleConnections()
	disk.free(t)
	h.edit(t, `http: \S+`, "http: 127.0.0.1:0")
	r := serve(t, h)
	for body, want := range kept {
		if got := askAgain(t, strings.TrimPrefix(r.http, "http://"), h.key, body); got != want {
			t.Fatalf("the answer was %s, and is %s after the disk was full", want, got)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "replay", "--config", h.config, "--all"); !strings.Contains(out.out, " 0 different, 0 could not be made again") {
		t.Errorf("%v", out)
	}
}
