package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// broken is a disk on which an operation fails while on is set.
type broken struct {
	*vfs.Mem
	mu   gosync.Mutex // guards all below
	fail func(vfs.Op) error
}

func (b *broken) set(fail func(vfs.Op) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

func (b *broken) hook(op vfs.Op) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		return nil
	}
	return b.fail(op)
}

func openBroken(t *testing.T, cfg journal.Config) (journal.Journal, *broken) {
	t.Helper()
	b := &broken{Mem: vfs.NewMem()}
	j, _ := open(t, cfg, vfs.Faulty{FS: b.Mem, Hook: b.hook})
	return j, b
}

func onLog(name string, err error) func(vfs.Op) error {
	return func(op vfs.Op) error {
		if op.Name == name && strings.HasSuffix(op.File, ".log") {
			return err
		}
		return nil
	}
}

func TestWriteFails(t *testing.T) {
	f := func(injected error, want error) {
		t.Helper()
		cfg := memConfig()
		cfg.SegmentBytes = 8 << 10
		j, disk := openBroken(t, cfg)
		write(t, j, 20)
		disk.set(onLog("write", injected))
		var lost []journal.Pos
		rec, err := j.Seal(journal.Frame{Payload: []byte("lost")})
		if err != nil {
			t.Fatalf("Seal() = %v, want nil", err)
		}
		for range 50 {
			p, err := j.Append(rec)
			if err != nil {
				break
			}
			lost = append(lost, p)
		}
		for _, p := range lost {
			if err := j.Written(t.Context(), p); !errors.Is(err, journal.ErrFailed) || !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Written(%v) = %v, want ErrFailed, %v and the path", p, err, want)
			}
		}
		if _, err := j.Append(rec); !errors.Is(err, journal.ErrFailed) || !errors.Is(err, want) {
			t.Errorf("Append() = %v, want ErrFailed and %v", err, want)
		}
		wantRead(t, j, 20)

		// Still broken: Recover says so, or succeeds, but then the next write fails again. Nothing is lost either way.
		if err := j.Recover(t.Context()); err == nil {
			p := journaltest.Append(t, j, journal.Frame{})
			if err := j.Written(t.Context(), p); !errors.Is(err, want) {
				t.Errorf("Written(%v) on the broken disk = %v, want %v", p, err, want)
			}
		}
		disk.set(nil)
		if err := j.Recover(t.Context()); err != nil {
			t.Fatalf("Recover() = %v, want nil", err)
		}
		wantFrames(t, j, 20)
		write(t, j, 100) // the positions are given anew
		wantFrames(t, j, 120)
		sync(t, j)
		j, rep := open(t, cfg, disk.PowerCut(journaltest.Seed(t), false))
		if rep.TruncatedBytes > 0 {
			t.Errorf("Report after a power cut = %+v, want nothing cut off", rep)
		}
		wantFrames(t, j, 120)
	}
	f(syscall.ENOSPC, journal.ErrNoSpace)
	f(syscall.EDQUOT, journal.ErrNoSpace)
	f(syscall.EIO, journal.ErrIO)
	f(syscall.EROFS, journal.ErrReadOnly)
	f(&vfs.ShortWriteError{N: 1, Err: syscall.ENOSPC}, journal.ErrNoSpace)
	f(&vfs.ShortWriteError{N: 52, Err: syscall.ENOSPC}, journal.ErrNoSpace)   // a whole frame of its batch arrived
	f(&vfs.ShortWriteError{N: 1000, Err: syscall.ENOSPC}, journal.ErrNoSpace) // many did
}

// What a failed write left of its batch must not come back as frames behind the ones that took its place.
func TestFailedBatchStaysLost(t *testing.T) {
	j, disk := openBroken(t, memConfig())
	same := journal.Frame{Payload: []byte("all of one size")}
	journaltest.Write(t, j, same)
	started, resume := make(chan struct{}), make(chan struct{})
	disk.set(func(op vfs.Op) error {
		if op.Name != "write" || !strings.HasSuffix(op.File, ".log") {
			return nil
		}
		if started != nil { // hold the first write, so that the next one has a batch of many
			close(started)
			started = nil
			<-resume
			return nil
		}
		return &vfs.ShortWriteError{N: op.Len, Err: syscall.EIO} // all of it arrives, but nobody knows
	})
	wait := started
	journaltest.Append(t, j, same)
	<-wait
	for range 10 {
		journaltest.Append(t, j, same)
	}
	close(resume)
	if err := j.Written(t.Context(), journal.Pos{Offset: 12}); !errors.Is(err, journal.ErrIO) {
		t.Errorf("Written(0/12) = %v, want ErrIO", err)
	}
	disk.set(nil)
	killed, _ := open(t, memConfig(), disk.Kill())
	if killed.Head().Offset != 12 { // nobody had the time to take it back
		t.Errorf("Head() after a kill = %v, want the failed batch as well", killed.Head())
	}
	if err := j.Recover(t.Context()); err != nil {
		t.Fatalf("Recover() = %v, want nil", err)
	}
	journaltest.Write(t, j, same)
	after, rep := open(t, memConfig(), disk.Kill())
	if after.Head().Offset != 3 || rep.TruncatedBytes != 0 {
		t.Errorf("Head() = %v, Report = %+v, want 3 frames and nothing cut off", after.Head(), rep)
	}
}

func TestFailedBatchIsGoneAfterClose(t *testing.T) {
	j, disk := openBroken(t, memConfig())
	write(t, j, 5)
	disk.set(func(op vfs.Op) error {
		if op.Name == "write" && strings.HasSuffix(op.File, ".log") {
			return &vfs.ShortWriteError{N: op.Len, Err: syscall.EIO}
		}
		return nil
	})
	lost := journaltest.Append(t, j, journal.Frame{})
	if err := j.Written(t.Context(), lost); !errors.Is(err, journal.ErrIO) {
		t.Errorf("Written(%v) = %v, want ErrIO", lost, err)
	}
	if err := j.Close(); !errors.Is(err, journal.ErrIO) {
		t.Errorf("Close() = %v, want the error of the write", err)
	}
	disk.set(nil)
	j, _ = open(t, memConfig(), disk.Kill())
	wantFrames(t, j, 5)
}

// wantRead says whether the frames up to head can be read, whatever else is wrong.
func wantRead(t *testing.T, j journal.Journal, head uint64) {
	t.Helper()
	for i := uint64(1); i <= head; i++ {
		if f, err := j.Get(journal.Pos{Offset: i}); err != nil || !bytes.Equal(f.Payload, payload(i)) {
			t.Errorf("Get(%d) of a failed journal = %+v, %v, want the frame", i, f, err)
		}
	}
	if _, err := j.Get(journal.Pos{Offset: head + 1}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Get(%d) of a failed journal = %v, want ErrNotFound", head+1, err)
	}
}

// After a failed fsync the kernel may call pages clean that are not on the disk: a second fsync succeeds and saves
// nothing. Recover must bring them there all the same, because their frames were acknowledged as written.
func TestSyncFails(t *testing.T) {
	f := func(name string, fail func(vfs.Op) error, want error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			cfg := memConfig()
			j, disk := openBroken(t, cfg)
			write(t, j, 100)
			sync(t, j)
			write(t, j, 100)
			disk.set(func(op vfs.Op) error {
				err := fail(op)
				if err != nil && op.Name == "sync" {
					disk.LoseDirty(dir + "/" + op.File)
				}
				return err
			})
			if err := j.Sync(t.Context()); !errors.Is(err, journal.ErrFailed) || !errors.Is(err, want) {
				t.Errorf("Sync() = %v, want ErrFailed and %v", err, want)
			}
			if err := j.Durable(t.Context(), j.Head()); !errors.Is(err, want) {
				t.Errorf("Durable() = %v, want %v", err, want)
			}
			if err := j.Durable(t.Context(), journal.Pos{Offset: 100}); err != nil {
				t.Errorf("Durable(before the failure) = %v, want nil", err)
			}
			wantRead(t, j, 200)
			if err := j.Recover(t.Context()); err == nil {
				t.Errorf("Recover() on the broken disk = nil, want an error")
			}
			disk.set(nil)
			if err := j.Recover(t.Context()); err != nil {
				t.Fatalf("Recover() = %v, want nil", err)
			}
			wantFrames(t, j, 200)
			if got := j.Stats().Durable; got.Offset != 200 {
				t.Errorf("Stats().Durable after Recover = %v, want 200", got)
			}
			r := journaltest.Seed(t)
			cut, _ := open(t, cfg, disk.PowerCut(r, false))
			wantFrames(t, cut, 200)
			write(t, j, 50)
			sync(t, j)
			cut, _ = open(t, cfg, disk.PowerCut(r, false))
			wantFrames(t, cut, 250)
		})
	}
	f("EIO", onAny("sync", syscall.EIO), journal.ErrIO)
	f("ENOSPC", onAny("sync", syscall.ENOSPC), journal.ErrNoSpace) // delayed allocation
}

// onAny fails an operation on every file of the log, copies included.
func onAny(name string, err error) func(vfs.Op) error {
	return func(op vfs.Op) error {
		if op.Name == name && strings.Contains(op.File, ".log") {
			return err
		}
		return nil
	}
}

// What the kernel lost for good is not called good: Recover checks what it reads back.
func TestSyncFailsAndPagesAreLost(t *testing.T) {
	j, disk := openBroken(t, memConfig())
	write(t, j, 100)
	disk.set(onLog("sync", syscall.EIO))
	if err := j.Sync(t.Context()); !errors.Is(err, journal.ErrIO) {
		t.Fatalf("Sync() = %v, want ErrIO", err)
	}
	disk.set(nil)
	rot(t, disk.Mem, newestLog(t, disk.Mem), 3000)
	for range 2 {
		if err := j.Recover(t.Context()); !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("Recover() = %v, want ErrCorrupt", err)
		}
		if j.Failed() == nil {
			t.Errorf("Failed() = nil, want the journal failed still")
		}
	}
}

func TestRotationFails(t *testing.T) {
	f := func(name string, fail func(vfs.Op) error, want error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			cfg := memConfig()
			cfg.SegmentBytes = 4 << 10
			j, disk := openBroken(t, cfg)
			write(t, j, 10)
			disk.set(fail)
			var err error
			for n := 0; err == nil && n < 200; n++ {
				i := j.Head().Offset + 1
				rec, serr := j.Seal(journal.Frame{Kind: journal.Kind(i), Time: int64(i), Payload: payload(i)})
				if serr != nil {
					t.Fatalf("Seal() = %v, want nil", serr)
				}
				var p journal.Pos
				if p, err = j.Append(rec); err == nil {
					err = j.Written(t.Context(), p)
				}
			}
			if !errors.Is(err, journal.ErrFailed) || !errors.Is(err, want) {
				t.Errorf("at the end of the segment = %v, want ErrFailed and %v", err, want)
			}
			head := j.Stats().Written.Offset
			disk.set(nil)
			if err := j.Recover(t.Context()); err != nil {
				t.Fatalf("Recover() = %v, want nil", err)
			}
			wantFrames(t, j, head)
			write(t, j, 200)
			wantFrames(t, j, head+200)
			sync(t, j)
			j, _ = open(t, cfg, disk.PowerCut(journaltest.Seed(t), false))
			wantFrames(t, j, head+200)
		})
	}
	f("create", onLog("create", syscall.ENOSPC), journal.ErrNoSpace)
	f("header", func(op vfs.Op) error {
		if op.Name == "write" && op.Off == 0 && strings.HasSuffix(op.File, ".log") {
			return &vfs.ShortWriteError{N: 30, Err: syscall.ENOSPC}
		}
		return nil
	}, journal.ErrNoSpace)
	f("fsync of the old one", onLog("sync", syscall.EIO), journal.ErrIO)
}

// TestEveryOperationFails lets each operation of a small run fail once, the first on the first run, and so on: no
// frame that was acknowledged may be missing, neither after Recover nor after opening again.
func TestEveryOperationFails(t *testing.T) {
	for n := 1; ; n++ {
		if !failOperation(t, n) {
			t.Logf("%d operations", n-1)
			return
		}
	}
}

func failOperation(t *testing.T, n int) bool {
	t.Helper()
	cfg := memConfig()
	cfg.SegmentBytes, cfg.SyncEvery = 4<<10, 0
	disk := &broken{Mem: vfs.NewMem()}
	count, failed := 0, ""
	disk.set(func(op vfs.Op) error {
		if count++; count != n {
			return nil
		}
		failed = fmt.Sprintf("%s %s", op.Name, op.File)
		return syscall.EIO
	})
	// The syncer goes on while the test looks, so that it asks under the hook's own lock.
	what := func() string {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		return failed
	}
	acked := map[journal.Pos]journal.Frame{}
	faulty := vfs.Faulty{FS: disk.Mem, Hook: disk.hook}
	j, _, err := journal.OpenFS(cfg, faulty)
	if err == nil {
		run(t, j, acked)
		if j.Failed() != nil {
			if err = j.Recover(t.Context()); err != nil {
				t.Errorf("operation %d (%s) failed: Recover() = %v, want nil", n, what(), err)
			}
		}
		wantAcked(t, j, acked, what())
		run(t, j, acked)
		if err = j.Close(); err != nil && what() == "" {
			t.Errorf("Close() = %v, want nil", err)
		}
		err = nil
	}
	if err != nil && !errors.Is(err, journal.ErrIO) {
		t.Errorf("operation %d (%s) failed: OpenFS() = %v, want ErrIO", n, what(), err)
	}
	wantNoOpenFiles(t, disk.Mem)
	disk.set(nil)
	j, _, err = journal.OpenFS(cfg, faulty)
	if err != nil {
		t.Fatalf("operation %d (%s) failed: OpenFS() afterwards = %v, want nil", n, what(), err)
	}
	wantAcked(t, j, acked, what())
	closeJournal(t, j)
	return what() != ""
}

// run writes some frames with keys, one of which it drops, until the journal fails.
func run(t *testing.T, j journal.Journal, acked map[journal.Pos]journal.Frame) {
	t.Helper()
	for i := range 12 {
		f := journal.Frame{Time: int64(i), Payload: payload(uint64(i * 40))}
		if id, err := j.Keys().New(); err == nil {
			f.KeyID = id
		}
		rec, err := j.Seal(f)
		if err != nil {
			t.Fatalf("Seal() = %v, want nil", err)
		}
		for range 5 {
			if f.Pos, err = j.Append(rec); err != nil {
				return
			}
			if err := j.Written(t.Context(), f.Pos); err != nil {
				return
			}
			acked[f.Pos] = f
		}
		if i%4 != 0 || f.KeyID == 0 {
			continue
		}
		if err := j.Sync(t.Context()); err != nil {
			return
		}
		if err := j.Keys().Drop(f.KeyID); err != nil && j.Keys().Has(f.KeyID) {
			t.Errorf("Drop(%d) = %v, and the key is still readable", f.KeyID, err)
		} else if err != nil {
			return
		}
		maps.DeleteFunc(acked, func(_ journal.Pos, a journal.Frame) bool { return a.KeyID == f.KeyID })
	}
}

func wantAcked(t *testing.T, j journal.Journal, acked map[journal.Pos]journal.Frame, what string) {
	t.Helper()
	for p, want := range acked {
		got, err := j.Get(p)
		if errors.Is(err, syscall.EIO) { // the operation that fails is this read
			got, err = j.Get(p)
		}
		// A key that was to be dropped when the disk failed may be gone already.
		if err != nil || !got.Erased && !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("%s failed: Get(%v) = %+v, %v, want %+v", what, p, got, err, want)
		}
	}
	if head := j.Head().Offset; head < uint64(len(acked)) {
		t.Errorf("%s failed: Head() = %d, want at least %d", what, head, len(acked))
	}
}

// A slow disk must not stop Append, the buffer bounds what waits, and one write takes all that did.
func TestSlowDisk(t *testing.T) {
	cfg := memConfig()
	cfg.BufferBytes, cfg.MaxPayloadBytes = 8<<10, 1<<10
	j, disk := openBroken(t, cfg)
	started, resume := make(chan struct{}, 10), make(chan struct{})
	slow := func(op vfs.Op) error {
		if op.Name == "write" && strings.HasSuffix(op.File, ".log") {
			started <- struct{}{}
			<-resume
		}
		return nil
	}
	disk.set(slow)
	rec, err := j.Seal(journal.Frame{Payload: make([]byte, 212)}) // 256 bytes with its head and tail
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}
	first, err := j.Append(rec)
	if err != nil {
		t.Fatalf("Append() = %v, want nil", err)
	}
	<-started
	for i := range 32 {
		if _, err := j.Append(rec); err != nil {
			t.Fatalf("Append() number %d while the disk is slow = %v, want nil", i+2, err)
		}
	}
	if _, err := j.Append(rec); !errors.Is(err, journal.ErrFull) {
		t.Errorf("Append() beyond the buffer = %v, want ErrFull", err)
	}
	if st := j.Stats(); st.PendingBytes != 33*256 || st.Full != 1 || !st.Written.IsZero() {
		t.Errorf("Stats() = %+v, want %d pending bytes, one refused, none written", st, 33*256)
	}
	if _, err := j.Get(first); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Get(not written yet) = %v, want ErrNotFound", err)
	}
	resume <- struct{}{}
	<-started
	resume <- struct{}{}
	if err := j.Written(t.Context(), j.Head()); err != nil {
		t.Errorf("Written(%v) = %v, want nil", j.Head(), err)
	}
	if st := j.Stats(); st.Batches != 2 || st.Frames != 33 {
		t.Errorf("Stats() = %d batches of %d frames, want 2 of 33", st.Batches, st.Frames)
	}
}

func TestSyncEvery(t *testing.T) {
	cfg := memConfig()
	cfg.SyncEvery = time.Millisecond
	j, _ := openBroken(t, cfg)
	c, err := j.Read(journal.Pos{}, journal.Follow(), journal.OnlyDurable())
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	write(t, j, 1)
	if f, err := c.Next(t.Context()); err != nil || f.Pos.Offset != 1 { // nobody asked for the fsync
		t.Errorf("Next() = %v, %v, want frame 1", f.Pos, err)
	}
	if st := j.Stats(); st.Fsyncs == 0 || st.FsyncMax == 0 || st.FsyncTime < st.FsyncMax {
		t.Errorf("Stats() = %+v, want fsyncs and their times", st)
	}
}

func TestOpenFails(t *testing.T) {
	f := func(op string, injected, want error) {
		t.Helper()
		m := many(t, false)
		hook := func(o vfs.Op) error {
			if o.Name == op {
				return injected
			}
			return nil
		}
		_, _, err := journal.OpenFS(memConfig(), vfs.Faulty{FS: m, Hook: hook})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("OpenFS(%s fails with %v) = %v, want %v and the path", op, injected, err, want)
		}
		j, _ := open(t, memConfig(), m) // nothing stays locked or changed
		wantFrames(t, j, 200)
		closeJournal(t, j)
	}
	f("mkdir", syscall.EROFS, journal.ErrReadOnly)
	f("lock", syscall.EROFS, journal.ErrReadOnly)
	f("lock", syscall.EACCES, journal.ErrReadOnly)
	f("list", syscall.EIO, journal.ErrIO)
	f("open", syscall.EROFS, journal.ErrReadOnly)
	f("read", syscall.EIO, journal.ErrIO)
	f("size", syscall.EIO, journal.ErrIO)
	f("write", syscall.ENOSPC, journal.ErrNoSpace)
	f("sync", syscall.EIO, journal.ErrIO)
	f("syncdir", syscall.EIO, journal.ErrIO)
}
