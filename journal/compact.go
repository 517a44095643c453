package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"time"

	"pitboss/journal/internal/vfs"
)

const (
	// compactSyncBytes is how much the compactor writes between fsyncs: one fsync of a whole segment would keep the
	// log's own waiting behind it.
	compactSyncBytes = 4 << 20
	// retainEvery is how often segments are looked at for Config.KeepFor.
	retainEvery = time.Minute
)

// runCompactor compresses finished segments and removes old ones, on a thread of the lowest priority.
func (j *files) runCompactor(ctx context.Context) {
	lowerPriority()
	ticker := time.NewTicker(retainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wakeCompactor:
			j.compactFinished(ctx)
		case <-ticker.C:
		}
		j.removeOld(time.Now())
	}
}

// compactFinished compacts every segment whose successor is safe.
func (j *files) compactFinished(ctx context.Context) {
	list := j.list()
	for i, seg := range list[:len(list)-1] {
		if seg.file().header.compact || j.durable.Load() < list[i+1].first {
			continue
		}
		err := j.compact(ctx, seg)
		if ctx.Err() != nil {
			return
		}
		if err != nil { // it stays as it is, which is good too; the next rotation tries again
			j.stats.compactErrors.Add(1)
			j.mu.Lock()
			j.compactE = err.Error()
			j.mu.Unlock()
		}
	}
}

// compact writes a segment anew, compressed and with a footer, and puts it in the place of the old one.
func (j *files) compact(ctx context.Context, seg *segment) (err error) {
	old, err := seg.acquire()
	if err != nil {
		return err
	}
	defer old.release()
	tmp := seg.path + ".tmp"
	file, err := j.fs.Create(tmp)
	if err != nil {
		return ioError("create", tmp, err)
	}
	h := old.header
	h.compact, h.chunked = true, true
	f := newSegmentFile(seg.path, h, j.handles)
	f.file, f.refs = file, 1
	defer func() {
		if err != nil {
			f.retire()
			f.release()
			err = errors.Join(err, j.fs.Remove(tmp))
			return
		}
		f.release()
	}()
	if err := j.writeCompact(ctx, old, f, tmp); err != nil {
		return err
	}
	if err := seg.replace(j.fs, tmp, f); err != nil {
		return err
	}
	j.stats.compacted.Add(1)
	j.stats.compactedIn.Add(old.size)
	j.stats.compactedOut.Add(f.size)
	// Whether the old or the new file is there after a power cut does not matter: both are good. Without the fsync
	// of the directory it may take long until the old one's space is free, so it is no reason to fail.
	_ = j.fs.SyncDir(j.cfg.Dir)
	return nil
}

// writeCompact fills the file of f with the frames of old and reads them again before it calls them safe.
func (j *files) writeCompact(ctx context.Context, old, f *segmentFile, tmp string) error {
	w := &compactWriter{file: f.file, path: tmp, sum: sha256.New()}
	if err := w.write(f.header.encode()); err != nil {
		return err
	}
	w.sum.Reset()
	foot := footer{}
	if err := j.writeChunks(ctx, old, f, w, &foot); err != nil {
		return err
	}
	foot.end, foot.index = w.at, f.marks
	w.sum.Sum(foot.sha[:0])
	if err := w.write(foot.encode(f.header.salt)); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	f.setFooter(foot, w.at)
	if err := j.verifyCopy(f); err != nil {
		return fmt.Errorf("cannot compact %q: the copy is not readable (%w): check the disk", f.path, err)
	}
	return nil
}

// writeChunks writes the frames of old as chunks.
func (j *files) writeChunks(ctx context.Context, old, f *segmentFile, w *compactWriter, foot *footer) error {
	c, err := newChunkWriter(j.sealer, f.header.salt)
	if err != nil {
		return err
	}
	defer c.close()
	r := frameReader{file: old}
	end, last := old.readable()
	foot.last = f.header.first - 1
	for at := int64(headerSize); at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		offset := foot.last + 1
		rec, raw, err := r.record(at, end, offset)
		if isBad(err) {
			return old.corrupt(at, offset, "%v: restore the file from a copy", err)
		}
		if err != nil {
			return err
		}
		if err := c.add(rec, raw); err != nil {
			return old.corrupt(at, offset, "%v", err)
		}
		at += int64(len(raw))
		foot.count(rec)
		if !c.full() && at < end {
			continue
		}
		f.marks = append(f.marks, mark{rel: uint32(c.c.first - f.header.first), at: uint32(w.at)})
		if err := c.flush(w.write); err != nil {
			return err
		}
	}
	if foot.last != last {
		return old.corrupt(end, foot.last, "it should end with frame %d: restore the file from a copy", last)
	}
	return nil
}

// verifyCopy reads a finished file through the handle that is open: its name is still the other's.
func (j *files) verifyCopy(f *segmentFile) error {
	next, at := f.header.first, int64(headerSize)
	for r := (chunkCursor{}); at < f.end; {
		if err := r.load(f, at, f.end, j.sealer); err != nil {
			return err
		}
		if r.c.first != next {
			return errBadChunk
		}
		for ; next <= r.c.last(); next++ {
			if _, err := r.frame(next, j.sealer); err != nil {
				return err
			}
		}
		at += int64(r.c.size)
	}
	if next != f.last+1 || at != f.end {
		return errBadChunk
	}
	return nil
}

// compactWriter writes a file from its beginning, in large pieces.
type compactWriter struct {
	file   vfs.File
	path   string
	sum    hash.Hash
	buf    []byte
	at     int64 // where the next byte goes, buf included
	synced int64
}

func (w *compactWriter) write(b []byte) error {
	w.sum.Write(b)
	w.buf = append(w.buf, b...)
	w.at += int64(len(b))
	if len(w.buf) < readChunk {
		return nil
	}
	return w.flush()
}

func (w *compactWriter) flush() error {
	if _, err := w.file.WriteAt(w.buf, w.at-int64(len(w.buf))); err != nil {
		return ioError("write", w.path, err)
	}
	w.buf = w.buf[:0]
	if w.at-w.synced < compactSyncBytes {
		return nil
	}
	return w.sync()
}

func (w *compactWriter) sync() error {
	if err := w.file.Sync(); err != nil {
		return ioError("fsync", w.path, err)
	}
	w.synced = w.at
	return nil
}

func (w *compactWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.sync()
}

// removeOld removes the oldest segments while retention asks for it and the floor allows it.
func (j *files) removeOld(now time.Time) {
	for j.expired(j.Segments(), now) {
		j.listMu.Lock()
		seg := j.segments[0]
		j.segments = append([]*segment(nil), j.segments[1:]...)
		j.listMu.Unlock()
		// The state first: a log that begins later than the state says has lost a file.
		if err := j.saveState(false); err != nil {
			j.stats.removeErrors.Add(1)
			return
		}
		seg.file().retire()
		if err := j.fs.Remove(seg.path); err != nil {
			j.stats.removeErrors.Add(1)
			return
		}
		j.stats.removed.Add(1)
	}
}

// expired says whether the oldest segment is to be removed.
func (j *files) expired(list []Segment, now time.Time) bool {
	if len(list) < 2 || !list[0].Compact || list[0].Last.Offset >= j.floor.Load() {
		return false
	}
	if j.cfg.KeepAtLeast > 0 && list[0].MaxTime >= now.Add(-j.cfg.KeepAtLeast).UnixMicro() {
		return false
	}
	var total int64
	for _, s := range list {
		total += s.Bytes
	}
	tooLarge := j.cfg.KeepBytes > 0 && total > j.cfg.KeepBytes
	tooOld := j.cfg.KeepFor > 0 && list[0].MaxTime < now.Add(-j.cfg.KeepFor).UnixMicro()
	return tooLarge || tooOld
}
