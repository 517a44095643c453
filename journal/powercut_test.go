package journal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// rounds is how often the tests of crashes run: PITBOSS_CRASH_ROUNDS, PITBOSS_ROUNDS, or 3.
func rounds(t *testing.T) int {
	t.Helper()
	for _, name := range []string{"PITBOSS_CRASH_ROUNDS", "PITBOSS_ROUNDS"} {
		s := os.Getenv(name)
		if s == "" {
			continue
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("%s is %q, want a number from 1 on", name, s)
		}
		return n
	}
	return 3
}

var errDead = errors.New("the process is dead")

// history is what happened before a crash, as the callers saw it.
type history struct {
	mu       gosync.Mutex // guards all below
	appended map[journal.Pos]journal.Frame
	written  map[journal.Pos]bool
	durable  map[journal.Pos]bool
	dropping map[journal.KeyID]bool // Drop was called
	dropped  map[journal.KeyID]bool // and succeeded
	floor    uint64                 // the highest that was set: retention may remove below
}

func newHistory() *history {
	return &history{appended: map[journal.Pos]journal.Frame{}, written: map[journal.Pos]bool{}, durable: map[journal.Pos]bool{},
		dropping: map[journal.KeyID]bool{}, dropped: map[journal.KeyID]bool{}}
}

// live uses a journal until it fails.
func (h *history) live(t *testing.T, j journal.Journal, r *rand.Rand) {
	t.Helper()
	id, err := j.Keys().New()
	if err != nil {
		return
	}
	for i := range 400 {
		f := journal.Frame{Kind: journal.Kind(i), Time: int64(r.Uint32()), Payload: payload(r.Uint64N(1000))}
		if r.IntN(3) > 0 {
			f.KeyID = id
		}
		rec, err := j.Seal(f)
		if err != nil {
			return // another one of ours dropped the key, or the disk is gone
		}
		if !h.append(t, j, rec, f, r.IntN(10) == 0) {
			return
		}
		switch r.IntN(60) {
		case 2:
			floor := r.Uint64N(j.Head().Offset + 1)
			h.mu.Lock()
			h.floor = max(h.floor, floor)
			h.mu.Unlock()
			j.SetFloor(journal.Pos{Offset: floor})
		case 0:
			if !h.drop(j, id) {
				return
			}
			fallthrough
		case 1:
			if id, err = j.Keys().New(); err != nil {
				return
			}
		}
	}
}

func (h *history) append(t *testing.T, j journal.Journal, rec journal.Sealed, f journal.Frame, durable bool) bool {
	t.Helper()
	h.mu.Lock() // with the append: the map must know a position before a crash can show it
	p, err := j.Append(rec)
	if err != nil {
		h.mu.Unlock()
		return errors.Is(err, journal.ErrFull)
	}
	f.Pos = p
	h.appended[p] = f
	h.mu.Unlock()
	if err := j.Written(t.Context(), p); err != nil {
		return false
	}
	h.mu.Lock()
	h.written[p] = true
	h.mu.Unlock()
	if !durable {
		return true
	}
	if err := j.Durable(t.Context(), p); err != nil {
		return false
	}
	h.mu.Lock()
	h.durable[p] = true
	h.mu.Unlock()
	return true
}

func (h *history) drop(j journal.Journal, id journal.KeyID) bool {
	h.mu.Lock()
	h.dropping[id] = true
	h.mu.Unlock()
	if err := j.Keys().Drop(id); err != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped[id] = true
	return true
}

// check says whether a journal that was opened after the crash holds all that must have survived, and nothing else.
func (h *history) check(t *testing.T, what string, j journal.Journal, survived map[journal.Pos]bool) {
	t.Helper()
	head := j.Head()
	for p := range survived {
		if head.Less(p) {
			t.Errorf("%s: Head() = %v, %v was acknowledged", what, head, p)
		}
	}
	if tail := j.Tail().Offset; tail > max(h.floor, 1) {
		t.Errorf("%s: Tail() = %d, the floor was never above %d", what, tail, h.floor)
	}
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("%s: Read() = %v, want nil", what, err)
	}
	defer c.Close()
	for p := (journal.Pos{Offset: max(1, j.Tail().Offset)}); p.Compare(head) <= 0; p = p.Next() {
		got, err := c.Next(t.Context())
		want, ok := h.appended[p]
		if err != nil || !ok || got.Pos != p {
			t.Errorf("%s: Next() = %v, %v, want %v, which was appended: %v", what, got.Pos, err, p, ok)
			return
		}
		switch {
		case got.Erased && h.dropping[want.KeyID]:
		case got.Erased, h.dropped[want.KeyID], !bytes.Equal(got.Payload, want.Payload), got.Kind != want.Kind, got.Time != want.Time:
			t.Errorf("%s: Next() = %+v, want %+v, key dropped: %v", what, got, want, h.dropped[want.KeyID])
		}
	}
}

// TestCrashDisk stops a random run at a random operation of the file system, and looks at what is left: after the death
// of the process, and after a power cut on file systems that write a file's pages in order and in any order.
func TestCrashDisk(t *testing.T) {
	r := journaltest.Seed(t)
	unsynced := 0
	n := 20 * rounds(t) // they are quick
	for range n {
		if crash(t, rand.New(rand.NewPCG(r.Uint64(), 0))) {
			unsynced++
		}
	}
	t.Logf("%d of %d power cuts without page order left good frames behind a bad one", unsynced, n)
}

func crash(t *testing.T, r *rand.Rand) (unsynced bool) {
	t.Helper()
	cfg := memConfig()
	cfg.SegmentBytes = 4<<10 + r.Int64N(16<<10)
	cfg.SyncEvery = time.Duration(r.IntN(3)) * 100 * time.Microsecond
	if cfg.Compact = r.IntN(2) == 0; cfg.Compact {
		cfg.KeepBytes = r.Int64N(60 << 10)
	}
	disk := &broken{Mem: vfs.NewMem()}
	left := r.IntN(1500)
	tear := rand.New(rand.NewPCG(r.Uint64(), 0)) // of its own: the hook runs in the journal's goroutines
	disk.set(func(op vfs.Op) error {
		if op.Name == "read" || op.Name == "size" {
			return nil
		}
		if left--; left >= 0 {
			return nil
		}
		// What lies within one sector, a slot of keys or state, is written whole or not at all.
		if left == -1 && op.Name == "write" && op.Len > 64 && tear.IntN(2) == 0 {
			return &vfs.ShortWriteError{N: tear.IntN(op.Len + 1), Err: errDead}
		}
		return errDead
	})
	h := newHistory()
	j, _, err := journal.OpenFS(cfg, vfs.Faulty{FS: disk.Mem, Hook: disk.hook})
	if err == nil {
		var wg gosync.WaitGroup
		for range 3 {
			own := rand.New(rand.NewPCG(r.Uint64(), 0))
			wg.Go(func() { h.live(t, j, own) })
		}
		wg.Wait()
		_ = j.Close() // the disk is gone, or all is well
	}
	wantNoOpenFiles(t, disk.Mem)
	reopen := func(what string, m *vfs.Mem, survived map[journal.Pos]bool, mayRefuse bool) {
		t.Helper()
		j, _, err := journal.OpenFS(cfg, m)
		var c *journal.CorruptError
		if mayRefuse && errors.As(err, &c) && c.Unsynced {
			unsynced = true
			cfg := cfg
			cfg.AcceptUnsyncedLoss = true
			j, _, err = journal.OpenFS(cfg, m)
		}
		if err != nil {
			t.Errorf("%s: OpenFS() = %v, want nil", what, err)
			return
		}
		h.check(t, what, j, survived)
		again := journaltest.Write(t, j, journal.Frame{})
		if again != j.Head() {
			t.Errorf("%s: the next frame is %v, Head() = %v", what, again, j.Head())
		}
		closeJournal(t, j)
		wantNoOpenFiles(t, m)
	}
	reopen("killed", disk.Kill(), h.written, false)
	reopen("power cut, pages in order", disk.PowerCut(r, true), h.durable, false)
	reopen("power cut, pages in any order", disk.PowerCut(r, false), h.durable, true)
	return unsynced
}

// A name in a directory can be lost by a power cut as well: the run above covers it, this one shows that it would see
// it. Without the fsync of the directory the second segment is gone.
func TestPowerCutModelLosesNames(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes = 4 << 10
	disk := &broken{Mem: vfs.NewMem()}
	j, _ := open(t, cfg, vfs.Faulty{FS: disk.Mem, Hook: disk.hook})
	write(t, j, 20)
	sync(t, j)
	disk.set(func(op vfs.Op) error {
		if op.Name == "syncdir" {
			return errDead
		}
		return nil
	})
	write(t, j, 25)
	if err := j.Durable(t.Context(), j.Head()); !errors.Is(err, errDead) {
		t.Errorf("Durable() without fsync of the directory = %v, want %v", err, errDead)
	}
	r := journaltest.Seed(t)
	lost := false
	for range 50 {
		lost = lost || len(logs(t, disk.PowerCut(r, true))) == 1
	}
	if !lost {
		t.Errorf("no power cut of 50 lost the name of a segment: the model is too kind")
	}
	if s := logs(t, disk.Mem); len(s) < 2 || !strings.HasSuffix(s[1], ".log") {
		t.Errorf("segments = %q, want at least two", s)
	}
}
