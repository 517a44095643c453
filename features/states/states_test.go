package states_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/goleak"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/features/statestest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("PITBOSS_TEST_OPEN"); dir != "" {
		// The second process of a test; ending it must leave what a process leaves.
		s, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
		if errors.Is(err, features.ErrStateLocked) {
			os.Stdout.WriteString(err.Error())
			os.Exit(3)
		}
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(4)
		}
		_ = s.Close() // the test opens the directory again
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestMemory(t *testing.T) {
	statestest.Run(t, statestest.Subject{Open: func(*testing.T, string) features.States { return states.NewMemory() }})
}

func TestBadger(t *testing.T) {
	statestest.Run(t, statestest.Subject{
		Durable: true,
		Open: func(t *testing.T, dir string) features.States {
			t.Helper()
			s, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
			if err != nil {
				t.Fatalf("cannot open: %v", err)
			}
			return s
		},
	})
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	s, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PITBOSS_TEST_OPEN="+dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("a second process was not refused: %v", err)
	}
	if !strings.Contains(string(out), dir) {
		t.Errorf("the refusal does not name the directory: %s", out)
	}
}

// TestFormat opens what is not ours to open.
func TestFormat(t *testing.T) {
	refused := func(dir, contains string) {
		t.Helper()
		_, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
		if !errors.Is(err, features.ErrStateFormat) || !strings.Contains(err.Error(), contains) {
			t.Errorf("open: %v, want ErrStateFormat with %q", err, contains)
		}
	}
	write := func(key, value string) string {
		t.Helper()
		dir := t.TempDir()
		db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil))
		if err != nil {
			t.Fatal(err)
		}
		txn := db.NewTransactionAt(1, true)
		if err := txn.Set([]byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
		if err := txn.CommitAt(1, nil); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	refused(write("mformat", "pitboss states 2"), `"pitboss states 2"`)
	refused(write("something", "else"), "something else")
}

func TestCannotOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := states.OpenBadger(states.BadgerConfig{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file was opened as a directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "move it away to build the state anew") {
		t.Errorf("a directory with garbage in it: %v, want what to do", err)
	}
}

// TestFullDisk asks for more room than any disk has.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err = s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = states.OpenBadger(states.BadgerConfig{Dir: dir, MinFreeBytes: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.PutMeta("a", nil); err == nil || !strings.Contains(err.Error(), "bytes are free") {
		t.Errorf("written to a full disk: %v", err)
	}
	if _, err := s.Meta("a"); err != nil {
		t.Errorf("cannot read from a full disk: %v", err)
	}
}

// A kill between making a log file and giving it its size leaves an empty one (seen once in some hundred kills). Badger
// refuses it, and leaves goroutines: the whole test binary ends without one.
func TestBadgerOpensAfterAKillLeftALogFileEmpty(t *testing.T) {
	dir := t.TempDir()
	s, err := states.OpenBadger(states.BadgerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err = errors.Join(s.PutMeta("name", []byte("kept")), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000007.vlog", "00007.mem"} {
		before := goleak.IgnoreCurrent()
		if err = os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err = states.OpenBadger(states.BadgerConfig{Dir: dir}); err != nil {
			t.Fatalf("after an empty %s: %v", name, err)
		}
		if got, unread := s.Meta("name"); unread != nil || string(got) != "kept" {
			t.Errorf("after an empty %s Meta gives %q, %v; want kept", name, got, unread)
		}
		if err = errors.Join(s.PutMeta("name", []byte("kept")), s.Close()); err != nil {
			t.Fatal(err)
		}
		if err := goleak.Find(before); err != nil {
			t.Errorf("after an empty %s: %v", name, err)
		}
	}
}
