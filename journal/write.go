package journal

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"time"
)

func newSalt() uint64 {
	var b [8]byte
	random(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// yieldBelow is the time between two writes below which the writer lets callers fill its batch. A write of a few KB
// takes about 5 us.
const yieldBelow = 20 * time.Microsecond

// runWriter writes what callers append, all that is there at a time.
func (j *files) runWriter() {
	var last time.Time
	for {
		select {
		case <-j.wakeWriter:
		case <-j.stopWriter:
			for j.writeBatch() {
			}
			return
		}
		// When writes follow each other this closely, callers do little else than append: let those that are ready do
		// so first, and one write takes them all. On a server that decides, writes are further apart, and waiting
		// for other goroutines would cost more than a write.
		if time.Since(last) < yieldBelow {
			runtime.Gosched()
		}
		for j.writeBatch() {
		}
		last = time.Now()
	}
}

// writeBatch writes the filled buffer, and says whether there was anything in it.
func (j *files) writeBatch() bool {
	j.writeMu.Lock()
	defer j.writeMu.Unlock()
	b := j.takeBatch()
	if b == nil {
		return false
	}
	err := j.write(b)
	if err != nil {
		j.fail(err, false)
	}
	j.finish(b, err)
	return true
}

// takeBatch swaps the buffers.
func (j *files) takeBatch() *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil || len(j.filling.buf) == 0 {
		return nil
	}
	b := j.filling
	b.last = j.head
	j.planned += int64(len(b.buf))
	j.flushing = b
	j.filling = j.newBatch(j.spare, b.salt)
	j.spare = nil
	return b
}

func (j *files) write(b *batch) error {
	if b.rotate {
		if err := j.rotate(b.first, b.salt); err != nil {
			return err
		}
	}
	f := j.active.file()
	at, _ := f.readable()
	if _, err := f.file.WriteAt(b.buf, at); err != nil {
		return ioError("write", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for offset, rest := b.first, b.buf; len(rest) > 0; offset++ {
		n := int(binary.LittleEndian.Uint32(rest[4:]))
		f.note(offset, at, n, int64(binary.LittleEndian.Uint64(rest[24:])))
		rest, at = rest[n:], at+int64(n)
	}
	return nil
}

// finish tells everybody how the write of a batch ended.
func (j *files) finish(b *batch, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spare = b.buf[:0]
	j.flushing = nil
	if err != nil {
		b.err = j.failed
	} else {
		j.stats.batches.Add(1)
		j.written.Store(b.last)
	}
	close(b.done)
	j.announceLocked()
	wake(j.wakeSyncer)
}

// rotate finishes the segment and begins the next one with the frame first. The old one is fsynced before the new
// one exists, so that only the newest segment can ever have a torn end.
func (j *files) rotate(first, salt uint64) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if err := j.syncLocked(); err != nil {
		return err
	}
	seg, err := j.createSegment(first, salt)
	if err != nil {
		return err
	}
	j.active.file().release()
	j.active = seg
	j.newNames = true
	j.listMu.Lock()
	defer j.listMu.Unlock()
	j.segments = append(j.segments, seg)
	return nil
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d.log", first) }

// createSegment makes an empty segment, acquired.
func (j *files) createSegment(first, salt uint64) (*segment, error) {
	path := filepath.Join(j.cfg.Dir, segmentName(first))
	h := segmentHeader{partition: j.cfg.Partition, first: first, id: j.keys.header.id, salt: salt, created: time.Now().UnixMicro()}
	file, err := j.fs.Create(path)
	if err != nil {
		return nil, ioError("create", path, err)
	}
	if _, err := file.WriteAt(h.encode(), 0); err != nil {
		_ = file.Close() // the write's error says it all; Recover removes the file
		return nil, ioError("write", path, err)
	}
	f := newSegmentFile(path, h, j.handles)
	f.file, f.refs = file, 1
	return &segment{first: first, path: path, cur: f}, nil
}

// runSyncer fsyncs what was written: Config.SyncEvery later, or at once if somebody waits for it.
func (j *files) runSyncer() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-j.wakeSyncer:
		case <-j.stopSyncer:
			j.sync()
			return
		}
		timer.Reset(j.cfg.SyncEvery)
		select {
		case <-timer.C:
		case <-j.urgent:
		case <-j.stopSyncer:
		}
		j.sync()
	}
}

// sync fsyncs the log, and makes spare keys if there are few.
func (j *files) sync() {
	j.keys.topUp()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.Failed() != nil {
		return
	}
	_ = j.syncLocked() // it made the journal fail, which everybody sees
}

// syncLocked is called with syncMu held. On failure the journal has failed when it returns.
func (j *files) syncLocked() error {
	written := j.written.Load()
	if written == j.durable.Load() && !j.newNames {
		return nil
	}
	f := j.active.file()
	start := time.Now()
	if err := f.file.Sync(); err != nil {
		err = ioError("fsync", f.path, err)
		j.fail(err, true)
		return err
	}
	took := uint64(time.Since(start))
	if j.newNames {
		if err := j.fs.SyncDir(j.cfg.Dir); err != nil {
			err = ioError("fsync", j.cfg.Dir, err)
			j.fail(err, true)
			return err
		}
		j.newNames = false
		wake(j.wakeCompactor) // the segment before is finished
	}
	j.stats.fsyncs.Add(1)
	j.stats.fsyncTime.Add(took)
	j.stats.fsyncMax.Store(max(j.stats.fsyncMax.Load(), took))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.durable.Store(written)
	j.announceLocked()
	return nil
}
