package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// compactAll opens the journal, lets it compact what is finished, and closes it.
func compactAll(t *testing.T, cfg journal.Config, fsys vfs.FS) (st journal.Stats) {
	t.Helper()
	cfg.Compact = true
	synctest.Test(t, func(t *testing.T) {
		j, _ := open(t, cfg, fsys)
		synctest.Wait()
		st = j.Stats()
		closeJournal(t, j)
	})
	return st
}

// readAll returns all frames.
func readAll(t *testing.T, j journal.Journal) (frames []journal.Frame) {
	t.Helper()
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	}()
	for p := j.Tail(); p.Compare(j.Head()) <= 0; p = p.Next() {
		f, err := c.Next(t.Context())
		if err != nil || f.Pos != p {
			t.Fatalf("Next() = %v, %v, want frame %v", f.Pos, err, p)
		}
		frames = append(frames, f)
	}
	if _, err := c.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Next() at the end = %v, want io.EOF", err)
	}
	return frames
}

// framesSHA is over what lies between header and index of a compact segment.
func framesSHA(m *vfs.Mem, path string) [32]byte {
	b := m.Bytes(path)
	return sha256.Sum256(b[64:binary.LittleEndian.Uint64(b[len(b)-112:])])
}

func TestCompactKeepsFrames(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes = 16 << 10
	m := vfs.NewMem()
	j, _ := open(t, cfg, m)
	keys := make([]journal.KeyID, 5)
	for i := range keys {
		id, err := j.Keys().New()
		if err != nil {
			t.Fatalf("New() = %v, want nil", err)
		}
		keys[i] = id
	}
	r := journaltest.Seed(t)
	text := strings.Repeat("bet.placed roulette table 17, win, bet.placed again, ", 40)
	for i := range 500 {
		f := journal.Frame{Kind: journal.Kind(i), Time: 1000 - int64(i), Payload: []byte(text[:r.IntN(len(text))])}
		if i%3 > 0 {
			f.KeyID = keys[r.IntN(len(keys))]
		}
		if i%7 == 0 { // what does not compress stays as it is
			for k := range f.Payload {
				f.Payload[k] = byte(r.Uint32())
			}
		}
		journaltest.Append(t, j, f)
		if i%20 == 0 {
			sync(t, j)
		}
	}
	if err := j.Keys().Drop(keys[0]); err != nil {
		t.Fatalf("Drop() = %v, want nil", err)
	}
	sync(t, j)
	want := readAll(t, j)
	closeJournal(t, j)

	st := compactAll(t, cfg, m)
	if st.Compacted == 0 || st.CompactErrors > 0 || st.CompactedOut > st.CompactedIn*7/10 {
		t.Errorf("Stats() = %+v, want segments compacted by a third", st)
	}
	j, rep := open(t, cfg, m)
	if rep.Segments != int(st.Compacted)+1 {
		t.Errorf("Report = %+v, want %d segments", rep, st.Compacted+1)
	}
	got := readAll(t, j)
	if d := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); d != "" {
		t.Errorf("after compaction: -want +got\n%s", d)
	}
	for _, f := range want {
		if got, err := j.Get(f.Pos); err != nil || !cmp.Equal(f, got, cmp.Comparer(bytes.Equal)) {
			t.Errorf("Get(%v) = %+v, %v, want %+v", f.Pos, got, err, f)
		}
	}
	for _, s := range j.Segments() {
		frames := want[s.First.Offset-1 : s.Last.Offset]
		byTime := func(a, b journal.Frame) int { return int(a.Time - b.Time) }
		if lo, hi := slices.MinFunc(frames, byTime).Time, slices.MaxFunc(frames, byTime).Time; s.MinTime != lo || s.MaxTime != hi {
			t.Errorf("Segments() = %+v, want times %d to %d", s, lo, hi)
		}
		if s.Compact && s.SHA256 != framesSHA(m, s.Path) {
			t.Errorf("Segments() = %+v, want SHA-256 %x of the stored chunks", s, framesSHA(m, s.Path))
		}
	}
}

// A cursor and a Get that are in the middle of a segment when its file is replaced read on.
func TestCompactUnderReaders(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes = 4 << 10
	cfg.Compact = true
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		j, _ := open(t, cfg, m)
		write(t, j, 20)
		c, err := j.Read(journal.Pos{})
		if err != nil {
			t.Fatalf("Read() = %v, want nil", err)
		}
		for i := uint64(1); i <= 300; i++ {
			f, err := c.Next(t.Context())
			if err != nil || f.Pos.Offset != i || !bytes.Equal(f.Payload, payload(i)) {
				t.Fatalf("Next() = %v, %v, want frame %d", f.Pos, err, i)
			}
			if i == 10 {
				write(t, j, 280)
				sync(t, j)
				synctest.Wait()
				if st := j.Stats(); st.Compacted < 5 {
					t.Fatalf("Stats() = %+v, want at least 5 compacted", st)
				}
			}
		}
		wantFrames(t, j, 300)
		if err := c.Close(); err != nil {
			t.Errorf("Cursor.Close() = %v, want nil", err)
		}
		if o := m.Orphans(); len(o) > 0 {
			t.Errorf("replaced, but still open: %q", o)
		}
		closeJournal(t, j)
		wantNoOpenFiles(t, m)
	})
}

// Whatever operation fails while a segment is compacted, the old file stays, and the next attempt succeeds.
func TestCompactFails(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes = 4 << 10
	origin := many(t, false)
	segments := len(logs(t, origin))
	for n := 0; ; n++ {
		m := origin.Kill()
		left, failed := n, false
		hook := func(op vfs.Op) error { // only the compactor's operations: it alone writes .tmp files here
			if !strings.HasSuffix(op.File, ".log.tmp") && op.Name != "rename" {
				return nil
			}
			if left--; left == -1 {
				failed = true
				return errors.New("injected")
			}
			return nil
		}
		st := compactAll(t, cfg, vfs.Faulty{FS: m, Hook: hook})
		if !failed {
			break
		}
		if st.CompactErrors != 1 || int(st.Compacted) != segments-2 || !strings.Contains(st.CompactError, "injected") {
			t.Errorf("operation %d failed: Stats() = %+v, want one error, %d compacted", n, st, segments-2)
		}
		if st = compactAll(t, cfg, m); st.Compacted != 1 {
			t.Errorf("operation %d failed, opened again: Stats() = %+v, want the last one compacted", n, st)
		}
		j, _ := open(t, cfg, m)
		wantFrames(t, j, 200)
		closeJournal(t, j)
	}
}

// A segment whose bytes rot before it is compacted stays as it is, for a person to look at.
func TestCompactLeavesDamagedSegment(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes, cfg.Compact = 4<<10, true
	m := vfs.NewMem()
	synctest.Test(t, func(t *testing.T) {
		j, _ := open(t, cfg, m)
		write(t, j, 10)
		log := newestLog(t, m)
		rot(t, m, log, 500)
		write(t, j, 100)
		sync(t, j)
		synctest.Wait()
		st := j.Stats()
		if st.CompactErrors == 0 || st.Compacted == 0 || !strings.Contains(st.CompactError, log) {
			t.Errorf("Stats() = %+v, want an error that names %q and the other segments compacted", st, log)
		}
		closeJournal(t, j)
		wantRefused(t, cfg, m, journal.ErrCorrupt)
	})
}

// rot changes a bit of a file that is open.
func rot(t *testing.T, m *vfs.Mem, file string, at int64) {
	t.Helper()
	f, err := m.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{m.Bytes(file)[at] ^ 1}, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// noise is a payload that does not compress.
func noise(i uint64) []byte {
	r := rand.New(rand.NewPCG(i, 1))
	b := make([]byte, 100)
	for k := range b {
		b[k] = byte(r.Uint32())
	}
	return b
}

func TestRetention(t *testing.T) {
	f := func(name string, change func(*journal.Config), floor uint64, wait time.Duration, wantTail func([]journal.Segment) uint64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := memConfig()
				cfg.SegmentBytes, cfg.Compact = 4<<10, true
				change(&cfg)
				m := vfs.NewMem()
				j, _ := open(t, cfg, m)
				for range 10 {
					for range 30 {
						journaltest.Write(t, j, journal.Frame{Time: time.Now().UnixMicro(), Payload: noise(j.Head().Offset)})
					}
					sync(t, j)
					time.Sleep(time.Hour)
				}
				synctest.Wait()
				before := j.Segments()
				reader, err := j.Read(journal.Pos{})
				if err != nil {
					t.Fatalf("Read() = %v, want nil", err)
				}
				if _, err := reader.Next(t.Context()); err != nil {
					t.Fatalf("Next() = %v, want nil", err)
				}
				j.SetFloor(journal.Pos{Partition: 3, Offset: 1 << 60}) // of another partition: nothing to us
				j.SetFloor(journal.Pos{Offset: floor})
				time.Sleep(wait)
				synctest.Wait()

				tail := wantTail(before)
				wantTailAt(t, j, m, tail)
				if tail > before[0].Last.Offset+1 { // the reader has its segment to the end, then hears of it
					var err error
					var last journal.Frame
					for f := last; err == nil; f, err = reader.Next(t.Context()) {
						last = f
					}
					if !errors.Is(err, journal.ErrGone) || last.Pos != before[0].Last {
						t.Errorf("Next() of a reader that was overtaken = %v after %v, want ErrGone after %v", err, last.Pos, before[0].Last)
					}
				}
				if err := reader.Close(); err != nil {
					t.Errorf("Close() = %v, want nil", err)
				}
				if o := m.Orphans(); len(o) > 0 {
					t.Errorf("removed, but still open: %q", o)
				}
				closeJournal(t, j)
				j, rep := open(t, cfg, m)
				if rep.Tail.Offset != tail {
					t.Errorf("Report = %+v, want tail %d", rep, tail)
				}
				closeJournal(t, j)
			})
		})
	}
	all := func([]journal.Segment) uint64 { return 1 }
	bySize := func(cfg *journal.Config) { cfg.KeepBytes = 10 << 10 }
	kept := func(cfg *journal.Config) { cfg.KeepBytes, cfg.KeepAtLeast = 10<<10, 5*time.Hour }
	byAge := func(cfg *journal.Config) { cfg.KeepFor = 5 * time.Hour }
	f("no limit", func(*journal.Config) {}, 250, 2*time.Hour, all)
	f("no floor", bySize, 0, 2*time.Hour, all)
	f("size", bySize, 300, 0, func(list []journal.Segment) uint64 {
		var total int64
		for i := len(list) - 1; ; i-- {
			if total += list[i].Bytes; total > 10<<10 {
				return list[i+1].First.Offset
			}
		}
	})
	f("size, but needed", bySize, 100, 0, func(list []journal.Segment) uint64 {
		i := slices.IndexFunc(list, func(s journal.Segment) bool { return s.Last.Offset >= 100 })
		return list[i].First.Offset
	})
	f("size, but younger than what is kept at least", kept, 300, 2*time.Minute, func(list []journal.Segment) uint64 {
		old := time.Now().Add(-5 * time.Hour).UnixMicro()
		i := slices.IndexFunc(list, func(s journal.Segment) bool { return s.MaxTime >= old })
		return list[i].First.Offset
	})
	f("age", byAge, 300, 2*time.Minute, func(list []journal.Segment) uint64 {
		old := time.Now().Add(-5 * time.Hour).UnixMicro()
		i := slices.IndexFunc(list, func(s journal.Segment) bool { return s.MaxTime >= old })
		return list[i].First.Offset
	})
}

func wantTailAt(t *testing.T, j journal.Journal, m *vfs.Mem, tail uint64) {
	t.Helper()
	list := j.Segments()
	if j.Tail().Offset != tail || list[0].First.Offset != tail || len(logs(t, m)) != len(list) {
		t.Errorf("Tail() = %v, first segment %v, %d files of %d segments, want tail %d", j.Tail(), list[0].First, len(logs(t, m)), len(list), tail)
	}
	if tail == 1 {
		return
	}
	gone := journal.Pos{Offset: tail - 1}
	if _, err := j.Get(gone); !errors.Is(err, journal.ErrGone) {
		t.Errorf("Get(%v) = %v, want ErrGone", gone, err)
	}
	if _, err := j.Read(gone); !errors.Is(err, journal.ErrGone) {
		t.Errorf("Read(%v) = %v, want ErrGone", gone, err)
	}
	if _, err := j.Get(journal.Pos{Offset: tail}); err != nil {
		t.Errorf("Get(%d) = %v, want nil", tail, err)
	}
	if st := j.Stats(); st.Removed == 0 || st.RemoveErrors != 0 {
		t.Errorf("Stats() = %+v, want removed segments and no errors", st)
	}
}

// A full disk must not keep retention from making room.
func TestRetentionOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := many(t, false).Kill()
		full := false
		hook := func(op vfs.Op) error {
			if full && (op.Name == "create" || op.Name == "write" && op.File != "state") {
				return fmt.Errorf("injected: no space")
			}
			return nil
		}
		cfg := memConfig()
		cfg.Compact, cfg.KeepBytes = true, 4<<10
		j, _ := open(t, cfg, vfs.Faulty{FS: m, Hook: hook})
		synctest.Wait()
		full = true
		j.SetFloor(j.Head())
		synctest.Wait()
		if st := j.Stats(); st.Removed == 0 || st.RemoveErrors != 0 || st.SegmentBytes > 4<<10 {
			t.Errorf("Stats() = %+v, want segments removed down to 4 KiB", st)
		}
		closeJournal(t, j)
	})
}

// Whenever the process dies while segments are compacted and removed, the next opening finds every frame from its tail on,
// and no half of a file.
func TestKillDuringCompactionAndRetention(t *testing.T) {
	origin := many(t, false).Kill()
	var killed []*vfs.Mem
	var removed uint64
	synctest.Test(t, func(t *testing.T) {
		hook := func(vfs.Op) error {
			killed = append(killed, origin.Kill())
			return nil
		}
		cfg := memConfig()
		cfg.Compact, cfg.KeepBytes = true, 4<<10
		j, _ := open(t, cfg, vfs.Faulty{FS: origin, Hook: hook})
		j.SetFloor(j.Head())
		synctest.Wait()
		st := j.Stats()
		if removed = st.Removed; removed == 0 || st.Compacted == 0 || st.Tail.Offset <= 1 || st.Floor != j.Head() {
			t.Errorf("Stats() = %+v, want segments compacted and removed", st)
		}
		closeJournal(t, j)
	})
	tails := map[uint64]bool{}
	for _, m := range killed {
		j, rep := open(t, memConfig(), m)
		wantFrames(t, j, 200)
		tails[rep.Tail.Offset] = true
		closeJournal(t, j)
		names, err := m.List(dir)
		if err != nil || strings.Contains(strings.Join(names, " "), ".tmp") {
			t.Errorf("files are %q, %v, want none that is unfinished", names, err)
		}
	}
	if len(tails) < int(removed) {
		t.Errorf("%d kills left %d tails, want one before each of %d removals", len(killed), len(tails), removed)
	}
}
