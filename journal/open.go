package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Torn or corrupt? Both are bytes that are not a good frame. Which one it is decides between going on and refusing.
//
// Torn is what an interrupted write leaves: at the end of the newest segment, never anywhere else, since a segment
// is fsynced before the next one exists. It may be a part of a batch, or zeros or old bytes where the size reached the
// disk and the data did not. Nobody was told that those frames are safe, so the end is cut off and reported.
//
// Corrupt is everything else. Where the end of the newest segment could be either, three witnesses decide:
//   - the state file: an offset that it calls safe cannot be torn;
//   - a good frame behind the bad one: an interrupted write leaves none, a flipped bit does;
//   - the lag in that good frame: it proves up to where the log had been fsynced when it was appended. If that is
//     before the bad frame, a power cut could have done it all the same, on a file system that writes a file's pages
//     in any order. That is refused too, but named (CorruptError.Unsynced), and Config.AcceptUnsyncedLoss may cut.
//
// Whatever is refused stays byte for byte as it was found.

// load opens everything in the directory.
func (j *files) load() (rep Report, err error) {
	names, err := j.fs.List(j.cfg.Dir)
	if err != nil {
		return rep, ioError("list", j.cfg.Dir, err)
	}
	firsts := segmentOffsets(names)
	var st state
	if j.state, st, err = openState(j.fs, j.cfg.Dir); err != nil {
		return rep, err
	}
	rep.New = len(firsts) == 0 && j.state == nil
	if err := j.loadKeys(st, rep.New); err != nil {
		return rep, err
	}
	rep.Clean = st.clean || rep.New
	if err := j.openSegments(firsts, st, &rep); err != nil {
		return rep, err
	}
	if err := j.removeUnfinished(names, &rep); err != nil {
		return rep, err
	}
	if err := j.settle(st); err != nil {
		return rep, err
	}
	_, last := j.active.file().readable()
	rep.Head = j.pos(last)
	if first := j.firstOffset(); first <= last {
		rep.Tail = j.pos(first)
	}
	for _, s := range j.Segments() {
		rep.Segments++
		rep.Bytes += s.Bytes
	}
	return rep, nil
}

func (j *files) loadKeys(st state, create bool) (err error) {
	j.keys, err = openKeys(j.fs, j.cfg, st.keys, st.clean, create)
	if errors.Is(err, fs.ErrNotExist) {
		return &CorruptError{File: filepath.Join(j.cfg.Dir, keysName),
			Reason: "the file is missing: restore it from a copy, without it nothing sealed can be read"}
	}
	if err != nil {
		return err
	}
	if j.state != nil && (st.id != j.keys.header.id || st.partition != j.cfg.Partition) {
		return fmt.Errorf("cannot use %q with %q: %w: restore both from the same copy", j.state.path, j.keys.path, ErrForeign)
	}
	j.sealer, err = newSealer(j.keys, j.cfg.MaxPayloadBytes)
	return err
}

// segmentOffsets returns the offsets that segments are named after, in order; names are sorted.
func segmentOffsets(names []string) []uint64 {
	var firsts []uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".log")
		if first, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && segmentName(first) == name && first > 0 {
			firsts = append(firsts, first)
		}
	}
	return firsts
}

// removeUnfinished removes what a killed process was writing under another name.
func (j *files) removeUnfinished(names []string, rep *Report) error {
	for _, name := range names {
		if !strings.HasSuffix(name, ".tmp") {
			continue
		}
		path := filepath.Join(j.cfg.Dir, name)
		err := j.fs.Remove(path)
		if errors.Is(err, fs.ErrNotExist) { // "keys.tmp" became "keys" a moment ago
			continue
		}
		if err != nil {
			return ioError("remove", path, err)
		}
		rep.RemovedFiles = append(rep.RemovedFiles, name)
	}
	return nil
}

func (j *files) openSegments(firsts []uint64, st state, rep *Report) error {
	if len(firsts) > 0 && st.tail > 0 && firsts[0] > st.tail {
		return &CorruptError{File: filepath.Join(j.cfg.Dir, segmentName(firsts[0])), Pos: j.pos(st.tail), Reason: fmt.Sprintf(
			"it is the oldest segment, but frames from %d on should be there: restore the missing files from a copy", st.tail)}
	}
	var last uint64
	if len(firsts) > 0 {
		last = firsts[0] - 1
	}
	for i, first := range firsts {
		path := filepath.Join(j.cfg.Dir, segmentName(first))
		if first != last+1 {
			return &CorruptError{File: path, Pos: j.pos(last + 1), Reason: fmt.Sprintf(
				"it begins with frame %d, the segment before it ends with %d: restore the missing files from a copy", first, last)}
		}
		seg, err := j.openSegment(path, first, i == len(firsts)-1, st, rep)
		if err != nil {
			return err
		}
		if seg == nil {
			break
		}
		j.segments = append(j.segments, seg)
		_, last = seg.cur.readable()
	}
	if last < st.head {
		return &CorruptError{File: j.cfg.Dir, Pos: j.pos(last + 1), Reason: fmt.Sprintf(
			"the log ends with frame %d, but was safe up to %d: restore the missing files from a copy", last, st.head)}
	}
	return nil
}

// openSegment returns nil for a newest segment that was being created and is removed.
func (j *files) openSegment(path string, first uint64, newest bool, st state, rep *Report) (_ *segment, err error) {
	file, err := j.fs.Open(path)
	if err != nil {
		return nil, ioError("open", path, err)
	}
	f := newSegmentFile(path, segmentHeader{partition: j.cfg.Partition, first: first}, j.handles)
	f.file, f.refs = file, 1
	defer f.release()
	size, err := file.Size()
	if err != nil {
		return nil, ioError("read", path, err)
	}
	head := make([]byte, min(size, headerSize))
	n, err := file.ReadAt(head, 0)
	if n < len(head) && !errors.Is(err, io.EOF) {
		return nil, ioError("read", path, err)
	}
	h, err := decodeSegmentHeader(head)
	switch {
	case errors.Is(err, errTornHeader) && newest:
		return nil, j.removeTorn(f, size, st, rep)
	case errors.Is(err, ErrFormat):
		return nil, fmt.Errorf("cannot read %q: %w", path, err)
	case err != nil:
		return nil, f.corrupt(0, first, "%v", err)
	case h.id != j.keys.header.id || h.partition != j.cfg.Partition:
		return nil, fmt.Errorf("cannot use %q with %q: %w: move the file out of the directory", path, j.keys.path, ErrForeign)
	case h.first != first:
		return nil, f.corrupt(16, first, "its first frame is %d, its name says %d: give it its name back", h.first, first)
	}
	f.header = h
	if h.compact {
		err = f.loadFooter(size)
	} else {
		err = j.loadFrames(f, size, newest, st, rep)
	}
	if err != nil {
		return nil, err
	}
	return &segment{first: first, path: path, cur: f}, nil
}

// removeTorn removes a segment whose header never reached the disk.
func (j *files) removeTorn(f *segmentFile, size int64, st state, rep *Report) error {
	first := f.header.first
	if first <= st.head {
		return f.corrupt(0, first, "the header is missing, but the log was safe up to frame %d: restore the file from a copy", st.head)
	}
	if size > headerSize && !j.cfg.AcceptUnsyncedLoss {
		e := f.corrupt(0, first, "the header is zeros and bytes follow: if the machine lost power, it may never have been "+
			"fsynced; restore the file from a copy, or accept_unsynced_loss drops it")
		e.Unsynced = true
		return e
	}
	if err := j.fs.Remove(f.path); err != nil {
		return ioError("remove", f.path, err)
	}
	f.retire()
	rep.TruncatedFile, rep.TruncatedBytes = f.path, size
	return nil
}

// loadFooter fills in what the end of a compact segment says.
func (f *segmentFile) loadFooter(size int64) error {
	if size < headerSize+footerSize {
		return f.corrupt(size, 0, "%v", errBadFooter)
	}
	end := make([]byte, footerSize)
	if err := f.readAt(end, size-footerSize); err != nil {
		return err
	}
	n, err := footerIndexSize(end, size)
	if err != nil {
		return f.corrupt(size-footerSize, 0, "%v", err)
	}
	b := make([]byte, n+footerSize)
	err = f.readAt(b, size-int64(len(b)))
	if err != nil {
		return err
	}
	foot, err := decodeFooter(b, f.header.first, f.header.salt, size)
	if err != nil {
		return f.corrupt(size-int64(len(b)), 0, "%v", err)
	}
	f.setFooter(foot, size)
	return nil
}

func (f *segmentFile) setFooter(foot footer, size int64) {
	f.end, f.last, f.size, f.marks, f.sha = foot.end, foot.last, size, foot.index, foot.sha
	f.minTime, f.maxTime = foot.minTime, foot.maxTime
}

// loadFrames reads a segment that is not compact, and cuts off a torn end.
func (j *files) loadFrames(f *segmentFile, size int64, newest bool, st state, rep *Report) error {
	why, err := scan(f, size, j.keys.known)
	if err != nil {
		return err
	}
	if why == nil {
		return nil
	}
	bad := f.last + 1
	if !newest {
		return f.corrupt(f.end, bad, "%v, in a segment that was fsynced: restore the file from a copy", why)
	}
	if bad <= st.head {
		return f.corrupt(f.end, bad, "%v, but the log was safe up to frame %d: restore the file from a copy", why, st.head)
	}
	behind, err := examineRest(f, size)
	if err != nil {
		return err
	}
	switch {
	case behind.durable >= bad:
		return f.corrupt(f.end, bad, "%v, and frames follow that prove that it had been fsynced: restore the file from a copy", why)
	case behind.frames == 0:
	case !j.cfg.AcceptUnsyncedLoss:
		e := f.corrupt(f.end, bad, "%v, and good frames follow (%d from byte %d on, the first is %d), none of which proves that it had "+
			"been fsynced: restore the file from a copy, or, if the machine lost power, accept_unsynced_loss cuts here",
			why, behind.frames, behind.at, behind.first)
		e.Unsynced = true
		return e
	}
	if err := f.file.Truncate(f.end); err != nil {
		return ioError("truncate", f.path, err)
	}
	rep.TruncatedFile, rep.TruncatedBytes, rep.TruncatedFrames = f.path, size-f.end, behind.frames
	return nil
}

// settle makes safe what was found, so that all of it is durable from here on, and opens the newest segment.
func (j *files) settle(st state) error {
	n := len(j.segments)
	next := st.head + 1
	if n > 0 {
		_, last := j.segments[n-1].cur.readable()
		next = last + 1
	}
	if n == 0 || j.segments[n-1].cur.header.compact {
		seg, err := j.createSegment(next, newSalt())
		if err != nil {
			return err
		}
		j.segments = append(j.segments, seg)
		j.active = seg
	} else {
		if err := j.segments[n-1].cur.acquire(); err != nil {
			return err
		}
		j.active = j.segments[n-1]
	}
	f := j.active.file()
	if err := j.keys.settle(); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return ioError("fsync", f.path, err)
	}
	if err := j.fs.SyncDir(j.cfg.Dir); err != nil {
		return ioError("fsync", j.cfg.Dir, err)
	}
	j.durable.Store(next - 1)
	if j.state != nil {
		return j.saveState(false)
	}
	var err error
	j.state, err = createState(j.fs, j.cfg.Dir, j.presentState(false))
	return err
}
