package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"time"

	"github.com/klauspost/compress/zstd"

	"pitboss/journal/internal/vfs"
)

const (
	// minCompress is the payload below which zstd has nothing to win.
	minCompress = 64
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
	h.compact = true
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
	c, err := newRecoder(j.sealer)
	if err != nil {
		return err
	}
	defer c.close()
	foot := footer{}
	r := frameReader{file: old}
	end, last := old.readable()
	for at := int64(headerSize); at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		offset := f.last + 1
		rec, raw, err := r.record(at, end, offset)
		if isBad(err) {
			return old.corrupt(at, offset, "%v: restore the file from a copy", err)
		}
		if err != nil {
			return err
		}
		at += int64(len(raw))
		out, err := c.recode(rec, raw, f.header.salt)
		if err != nil {
			return old.corrupt(at, offset, "%v", err)
		}
		f.note(offset, w.at, len(out), rec.frame.Time)
		foot.frames++
		foot.plainBytes += uint64(rec.plainLen)
		if err := w.write(out); err != nil {
			return err
		}
	}
	if f.last != last {
		return old.corrupt(end, f.last, "it should end with frame %d: restore the file from a copy", last)
	}
	foot.end, foot.last, foot.index, foot.minTime, foot.maxTime = w.at, last, f.marks, f.minTime, f.maxTime
	w.sum.Sum(foot.sha[:0])
	if err := w.write(foot.encode(f.header.salt)); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	f.setFooter(foot, w.at)
	return verifyCopy(f, last)
}

// verifyCopy scans a finished file through the handle that is open: its name is still the other's.
func verifyCopy(f *segmentFile, last uint64) error {
	check := newSegmentFile(f.path, f.header, f.handles)
	check.file = f.file
	why, err := scan(check, f.end, anyKey)
	if err != nil {
		return err
	}
	if why == nil && check.last != last {
		why = errShortFrame
	}
	if why != nil {
		return fmt.Errorf("cannot compact %q: the copy is not readable (%w): check the disk", f.path, why)
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

// recoder turns frames into compressed ones.
type recoder struct {
	sealer *sealer
	enc    *zstd.Encoder
	buf    sealBuf
	plain  []byte
	zbuf   []byte
	out    []byte
}

func newRecoder(s *sealer) (*recoder, error) {
	// No dictionary: one that is made of payloads holds pieces of them, which dropping a key would not take away.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("cannot make a zstd encoder: %w", err)
	}
	return &recoder{sealer: s, enc: enc}, nil
}

func (c *recoder) close() { _ = c.enc.Close() } // it has no stream to flush

// recode returns the frame compressed, or as it is if that wins less than a sixteenth or its key was dropped.
func (c *recoder) recode(rec record, raw []byte, salt uint64) ([]byte, error) {
	if rec.codec != codecNone || rec.plainLen < minCompress {
		return raw, nil
	}
	stored, err := c.sealer.unseal(&c.buf, c.plain[:0], rec, raw[8:frameHeadSize])
	if errors.Is(err, ErrErased) {
		return raw, nil
	}
	if err != nil {
		return nil, err
	}
	c.plain = stored
	c.zbuf = c.enc.EncodeAll(stored, c.zbuf[:0])
	if len(c.zbuf) > len(stored)-len(stored)/16 {
		return raw, nil
	}
	err = c.sealer.seal(&c.buf, rec.frame, codecZstd, c.zbuf, rec.plainLen)
	if errors.Is(err, ErrErased) { // dropped since
		return raw, nil
	}
	if err != nil {
		return nil, err
	}
	c.out = appendFrame(c.out[:0], c.buf.rec, crc32.Checksum(c.buf.rec, castagnoli), salt, rec.frame.Pos.Offset, rec.durable)
	return c.out, nil
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
	var total int64
	for _, s := range list {
		total += s.Bytes
	}
	tooLarge := j.cfg.KeepBytes > 0 && total > j.cfg.KeepBytes
	tooOld := j.cfg.KeepFor > 0 && list[0].MaxTime < now.Add(-j.cfg.KeepFor).UnixMicro()
	return tooLarge || tooOld
}
