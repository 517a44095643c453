package journal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pitboss/journal"
	"pitboss/journal/journaltest"
)

// childDir names the environment variable that makes the test binary the process to be killed.
const childDir = "PITBOSS_JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func killConfig(dir string) journal.Config {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = dir, journaltest.MasterKey()
	cfg.SegmentBytes, cfg.SyncEvery = 256<<10, time.Millisecond
	return cfg
}

// child appends for ever and says on stdout what is acknowledged, a line each: offset, key and payload. Now and then
// it drops a key and says so: "drop", key.
func child(dir string) error {
	j, _, err := journal.OpenFile(killConfig(dir))
	if err != nil {
		return err
	}
	ended := make(chan error)
	for w := range 4 {
		go func() { ended <- appendForEver(j, w) }()
	}
	return <-ended // only an error ends it; the process is killed otherwise
}

func appendForEver(j journal.Journal, worker int) error {
	id, err := j.Keys().New()
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		f := journal.Frame{KeyID: id, Time: int64(i), Payload: fmt.Appendf(nil, "%d-%d-%s", worker, i, strings.Repeat("x", i%300))}
		rec, err := j.Seal(f)
		if err != nil {
			return err
		}
		p, err := j.Append(rec)
		if errors.Is(err, journal.ErrFull) {
			continue
		}
		if err != nil {
			return err
		}
		err = j.Written(context.Background(), p)
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(os.Stdout, "%d %d %s\n", p.Offset, id, f.Payload); err != nil {
			return err
		}
		if i%500 != 499 {
			continue
		}
		err = j.Keys().Drop(id)
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(os.Stdout, "drop %d\n", id); err != nil {
			return err
		}
		if id, err = j.Keys().New(); err != nil {
			return err
		}
	}
}

// acked is what a child said before it was killed.
type acked struct {
	key     journal.KeyID
	payload string
}

// TestCrashKill9 kills a process that appends, again and again in one directory: whatever it had acknowledged is there.
func TestCrashKill9(t *testing.T) {
	r := journaltest.Seed(t)
	dir := filepath.Join(t.TempDir(), "journal")
	frames, dropped := map[uint64]acked{}, map[journal.KeyID]bool{}
	silent := map[journal.KeyID]bool{}
	for round := range rounds(t) {
		killChild(t, r, dir, frames, dropped)
		j, rep, err := journal.OpenFile(killConfig(dir))
		if err != nil {
			t.Fatalf("OpenFile() after kill -9 = %v, want nil", err)
		}
		if rep.New || rep.Clean {
			t.Errorf("Report = %+v, want neither new nor clean", rep)
		}
		c, err := j.Read(journal.Pos{})
		if err != nil {
			t.Fatalf("Read() = %v, want nil", err)
		}
		for i := uint64(1); i <= j.Head().Offset; i++ {
			got, err := c.Next(t.Context())
			if err != nil || got.Pos.Offset != i {
				t.Fatalf("Next() = %v, %v, want frame %d", got.Pos, err, i)
			}
			want, ok := frames[i]
			if got.Erased && !dropped[got.KeyID] { // killed between the drop and the word of it
				silent[got.KeyID] = true
				continue
			}
			if ok && (got.KeyID != want.key || got.Erased != dropped[want.key] || !got.Erased && string(got.Payload) != want.payload) {
				t.Errorf("Next() = %+v, want what was acknowledged: %+v, dropped %v", got, want, dropped[want.key])
			}
		}
		for i := range frames {
			if i > j.Head().Offset {
				t.Errorf("frame %d was acknowledged, the head is %v", i, j.Head())
			}
		}
		if most := 4 * (round + 1); len(silent) > most {
			t.Errorf("%d keys are dropped that nobody dropped, want at most one per worker and round, %d", len(silent), most)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Cursor.Close() = %v, want nil", err)
		}
		if err := j.Close(); err != nil {
			t.Fatalf("Close() = %v, want nil", err)
		}
	}
	t.Logf("%d frames acknowledged, %d keys dropped", len(frames), len(dropped))
}

// killChild lets a child append a while and kills it.
func killChild(t *testing.T, r *rand.Rand, dir string, frames map[uint64]acked, dropped map[journal.KeyID]bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once gosync.Once
	kill := func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("Kill() = %v, want nil", err)
		}
	}
	left := 100 + r.IntN(5000)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var offset uint64
		var a acked
		var id journal.KeyID
		if n, _ := fmt.Sscanf(lines.Text(), "drop %d", &id); n == 1 {
			dropped[id] = true
		} else if n, err := fmt.Sscanf(lines.Text(), "%d %d %s", &offset, &a.key, &a.payload); n == 3 && err == nil {
			if other, ok := frames[offset]; ok {
				t.Errorf("frame %d was acknowledged twice: %+v and %+v", offset, other, a)
			}
			frames[offset] = a
		}
		if left--; left == 0 {
			once.Do(kill)
		}
	}
	if left > 0 {
		t.Fatalf("the child ended by itself: %v", cmd.Wait())
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the child ended well, want killed")
	}
}
