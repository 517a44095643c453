package journal

import (
	"context"
	"errors"
	"path/filepath"
)

const (
	// roomBytes is how much a disk that was full must take before the journal accepts frames again: with less, it would fail
	// at the next write, and every caller would hear that it works in between.
	roomBytes = 1 << 20
	roomName  = "room.tmp" // opening removes it after a crash
)

// Recover implements Journal. A segment that a failed rotation was about to begin needs no care: the next batch begins
// it again, with the same frame and thus the same name, and opening removes one without a header.
func (j *files) Recover(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.writeMu.Lock()
	defer j.writeMu.Unlock()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.closed.Load() {
		return ErrClosed
	}
	if j.Failed() == nil {
		return nil
	}
	if err := j.repair(); err != nil {
		return err
	}
	end, last := j.active.file().readable()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed, j.repages, j.newNames = nil, false, false
	j.head, j.planned = last, end
	j.written.Store(last)
	j.durable.Store(last)
	j.filling = j.newBatch(j.filling.buf, j.active.file().header.salt)
	j.epoch++
	j.announceLocked()
	wake(j.wakeCompactor)
	return nil
}

// repair brings the files into the state after the last write that succeeded, and makes it safe. It may be called
// again after it failed.
func (j *files) repair() error {
	if err := j.keys.rewrite(j.cfg.Dir); err != nil {
		return err
	}
	if err := j.keys.Sync(); err != nil {
		return err
	}
	j.mu.Lock()
	repages := j.repages
	j.mu.Unlock()
	var err error
	if repages {
		err = j.copyActive()
	} else {
		err = j.cutActive()
	}
	if err != nil {
		return err
	}
	if err := j.fs.SyncDir(j.cfg.Dir); err != nil {
		return ioError("fsync", j.cfg.Dir, err)
	}
	if errors.Is(j.Failed(), ErrNoSpace) {
		return j.tryRoom()
	}
	return nil
}

// tryRoom says whether a disk that was full has room again, by writing to it: what a file system calls free may be
// reserved, or beyond a quota. The bytes are random, so that no file system stores them as less.
func (j *files) tryRoom() (err error) {
	path := filepath.Join(j.cfg.Dir, roomName)
	file, err := j.fs.Create(path)
	if err != nil {
		return ioError("create", path, err)
	}
	defer func() {
		_ = file.Close()
		if removed := j.fs.Remove(path); removed != nil {
			err = errors.Join(err, ioError("remove", path, removed))
		}
	}()
	b := make([]byte, roomBytes)
	random(b)
	if _, err := file.WriteAt(b, 0); err != nil {
		return ioError("write", path, err)
	}
	if err := file.Sync(); err != nil {
		return ioError("fsync", path, err)
	}
	return nil
}

// cutActive cuts off what a failed write left of its batch: its callers were told that it is not there.
func (j *files) cutActive() error {
	f := j.active.file()
	end, last := f.readable()
	if err := f.file.Truncate(end); err != nil {
		return ioError("truncate", f.path, err)
	}
	if err := f.file.Sync(); err != nil {
		err = ioError("fsync", f.path, err)
		j.fail(err, true)
		return err
	}
	check := newSegmentFile(f.path, f.header, j.handles)
	return verify(check, end, last)
}

// copyActive copies the newest segment into a new file, since the pages of the old one cannot be trusted to reach
// the disk any more. What was read back is checked frame by frame.
func (j *files) copyActive() (err error) {
	old := j.active.file()
	end, last := old.readable()
	tmp := old.path + ".tmp"
	file, err := j.fs.Create(tmp)
	if err != nil {
		return ioError("create", tmp, err)
	}
	f := newSegmentFile(old.path, old.header, j.handles)
	f.file, f.refs = file, 1
	defer func() {
		if err != nil {
			f.retire()
			f.release()
		}
	}()
	r := frameReader{file: old}
	for at := int64(0); at < end; {
		b, err := r.bytes(at, int(min(readChunk, end-at)), end)
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(b, at); err != nil {
			return ioError("write", tmp, err)
		}
		at += int64(len(b))
	}
	if err := file.Sync(); err != nil {
		return ioError("fsync", tmp, err)
	}
	if why, err := scan(f, end, anyKey); err != nil || why != nil || f.last != last {
		if err != nil {
			return err
		}
		return f.corrupt(f.end, f.last+1, "the failed fsync lost frames that were written (to %d): restart to see what is left", last)
	}
	if err := j.active.replace(j.fs, tmp, f); err != nil {
		return err
	}
	old.release()
	return nil
}

func anyKey(KeyID) bool { return true }

// verify reads a file again and says whether it ends where it should.
func verify(f *segmentFile, end int64, last uint64) error {
	if err := f.acquire(); err != nil {
		return err
	}
	defer f.release()
	f.retire() // it closes on release
	why, err := scan(f, end, anyKey)
	if err != nil {
		return err
	}
	if why != nil || f.last != last {
		return f.corrupt(f.end, f.last+1, "it should be good up to frame %d (%v): restore the file from a copy", last, why)
	}
	return nil
}
