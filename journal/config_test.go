package journal_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pitboss/journal"
	"pitboss/journal/journaltest"
)

func TestConfigValidate(t *testing.T) {
	f := func(change func(*journal.Config), want string) {
		t.Helper()
		cfg := journal.DefaultConfig()
		cfg.Dir, cfg.MasterKey = t.TempDir(), journaltest.MasterKey()
		change(&cfg)
		err := cfg.Validate()
		if want == "" {
			if err != nil {
				t.Errorf("Validate() = %v, want nil", err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v, want %q in it", err, want)
		}
		if _, _, oerr := journal.OpenFile(cfg); oerr == nil || oerr.Error() != err.Error() {
			t.Errorf("OpenFile() = %v, want what Validate says: %v", oerr, err)
		}
	}
	f(func(*journal.Config) {}, "")
	f(func(c *journal.Config) { c.SyncEvery = 0 }, "")
	f(func(c *journal.Config) { c.KeepBytes, c.KeepFor = 1, time.Hour }, "")
	f(func(c *journal.Config) { c.Dir = "" }, "dir")
	f(func(c *journal.Config) { c.MasterKey = nil }, "0 bytes, must have 32")
	f(func(c *journal.Config) { c.MasterKey = make([]byte, 16) }, "16 bytes, must have 32")
	f(func(c *journal.Config) { c.SegmentBytes = 4095 }, "segment_bytes 4095")
	f(func(c *journal.Config) { c.SegmentBytes = 1<<30 + 1 }, "segment_bytes")
	f(func(c *journal.Config) { c.BufferBytes = 0 }, "buffer_bytes 0")
	f(func(c *journal.Config) { c.BufferBytes = 256<<20 + 1 }, "buffer_bytes")
	f(func(c *journal.Config) { c.MaxPayloadBytes = 0 }, "max_payload_bytes 0")
	f(func(c *journal.Config) { c.MaxPayloadBytes = 5 << 20 }, "half of buffer_bytes")
	f(func(c *journal.Config) { c.SyncEvery = -1 }, "sync_every")
	f(func(c *journal.Config) { c.SyncEvery = time.Minute }, "sync_every 1m0s")
	f(func(c *journal.Config) { c.KeepBytes = -1 }, "keep_bytes -1")
	f(func(c *journal.Config) { c.KeepFor = -1 }, "keep_for")
	f(func(c *journal.Config) { c.KeepAtLeast = -1 }, "keep_at_least")
	f(func(c *journal.Config) { c.KeepFor, c.KeepAtLeast = time.Hour, 2*time.Hour }, "less than keep_at_least 2h0m0s")
	f(func(c *journal.Config) { c.KeepFor, c.KeepAtLeast = time.Hour, time.Hour }, "")
	f(func(c *journal.Config) { c.Compact, c.KeepFor = false, time.Hour }, "need compact")
}

func TestPos(t *testing.T) {
	order := []journal.Pos{{}, {Offset: 1}, {Offset: 2}, {Partition: 1, Offset: 1}, {Partition: 1, Offset: 2}}
	if !slices.IsSortedFunc(order, journal.Pos.Compare) {
		t.Errorf("%v is not in order", order)
	}
	for i, p := range order {
		for k, q := range order {
			if got := p.Less(q); got != (i < k) {
				t.Errorf("%v.Less(%v) = %v, want %v", p, q, got, i < k)
			}
		}
	}
	p := journal.Pos{Partition: 3, Offset: 1234}
	if p.String() != "3/1234" || p.Next() != (journal.Pos{Partition: 3, Offset: 1235}) || p.IsZero() || !(journal.Pos{}).IsZero() {
		t.Errorf("%v: String, Next or IsZero is wrong", p)
	}
}

// TestMemorySpills reads frames that were forgotten, out of a file that nobody sees.
func TestMemorySpills(t *testing.T) {
	dir := t.TempDir()
	j := journal.NewMemory(journal.MemoryConfig{Forget: true, SpillDir: dir})
	key, err := j.Keys().New()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		f := journal.Frame{Kind: 3, Time: int64(n), Payload: []byte(fmt.Sprint("payload ", n))}
		if n == 20 {
			f.KeyID = key
		}
		journaltest.Write(t, j, f)
		j.SetFloor(journal.Pos{Offset: uint64(n / 2)})
	}
	for n := range 100 {
		f, err := j.Get(journal.Pos{Offset: uint64(n + 1)})
		if err != nil || string(f.Payload) != fmt.Sprint("payload ", n) || f.Kind != 3 || f.Time != int64(n) || f.Pos.Offset != uint64(n+1) {
			t.Errorf("Get(0/%d) = %+v, %v", n+1, f, err)
		}
	}
	if err := j.Keys().Drop(key); err != nil {
		t.Fatal(err)
	}
	if f, err := j.Get(journal.Pos{Offset: 21}); err != nil || !f.Erased || f.Payload != nil {
		t.Errorf("an erased frame is %+v, %v", f, err)
	}
	if _, err := j.Read(journal.Pos{Offset: 1}); !errors.Is(err, journal.ErrGone) {
		t.Errorf("Read(0/1) = %v, want ErrGone", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
	// Where nothing can be written, the journal says so.
	j = journal.NewMemory(journal.MemoryConfig{Forget: true, SpillDir: dir + "/none"})
	journaltest.Write(t, j, journal.Frame{Payload: []byte("x")})
	journaltest.Write(t, j, journal.Frame{Payload: []byte("x")})
	j.SetFloor(journal.Pos{Offset: 2})
	if err := j.Failed(); !errors.Is(err, journal.ErrFailed) {
		t.Errorf("Failed() = %v, want ErrFailed", err)
	}
}

func TestMemoryForgets(t *testing.T) {
	j := journal.NewMemory(journal.MemoryConfig{Partition: 2, Forget: true})
	for range 100 {
		journaltest.Write(t, j, journal.Frame{Payload: []byte("x")})
	}
	j.SetFloor(journal.Pos{Partition: 1, Offset: 90})
	j.SetFloor(journal.Pos{Partition: 2, Offset: 60})
	j.SetFloor(journal.Pos{Partition: 2, Offset: 50})
	if want := (journal.Pos{Partition: 2, Offset: 60}); j.Tail() != want {
		t.Errorf("Tail() = %v, want %v", j.Tail(), want)
	}
	if _, err := j.Get(journal.Pos{Partition: 2, Offset: 59}); !errors.Is(err, journal.ErrGone) {
		t.Errorf("Get(2/59) = %v, want ErrGone", err)
	}
	if _, err := j.Get(journal.Pos{Partition: 2, Offset: 60}); err != nil {
		t.Errorf("Get(2/60) = %v, want nil", err)
	}
	j.SetFloor(journal.Pos{Partition: 2, Offset: 1000})
	if !j.Tail().IsZero() || j.Head().Offset != 100 {
		t.Errorf("Tail(), Head() = %v, %v, want nothing, 2/100", j.Tail(), j.Head())
	}
	if p := journaltest.Write(t, j, journal.Frame{}); p.Offset != 101 || j.Tail() != p {
		t.Errorf("Append() = %v, Tail() = %v, want 2/101 both", p, j.Tail())
	}
}
