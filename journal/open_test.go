package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// built is a journal that was killed: 30 frames, of which the first 10 were fsynced as far as the frames
// after them can tell.
type built struct {
	*vfs.Mem
	log    string // the only segment
	starts []int  // byte of frame i, and of the end
	bytes  []byte // of the segment
	t      *testing.T
}

func build(t *testing.T) built {
	t.Helper()
	const synced = 10
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	write(t, j, synced)
	sync(t, j)
	write(t, j, 30-synced)
	b := built{Mem: m.Kill(), t: t}
	b.log = newestLog(t, b.Mem)
	b.bytes = b.Bytes(b.log)
	b.starts = []int{0, 64}
	for at := 64; at < len(b.bytes); {
		at += int(binary.LittleEndian.Uint32(b.bytes[at+4:]))
		b.starts = append(b.starts, at)
	}
	if len(b.starts) != 32 {
		t.Fatalf("the segment has %d frames, want 30", len(b.starts)-2)
	}
	return b
}

// with returns the file system with other bytes in the segment.
func (b built) with(data []byte) *vfs.Mem {
	m := b.Kill()
	m.SetBytes(b.log, data)
	return m
}

// flip returns the segment with one bit of a byte changed.
func (b built) flip(at int) []byte {
	data := bytes.Clone(b.bytes)
	data[at] ^= 0x10
	return data
}

// wantTorn says whether the journal opens, with frames up to head and the rest cut off, and works.
func (b built) wantTorn(data []byte, head uint64) {
	b.t.Helper()
	m := b.with(data)
	j, rep := open(b.t, memConfig(), m)
	defer closeJournal(b.t, j)
	if want := int64(len(data) - b.starts[head+1]); rep.TruncatedBytes != want || rep.TruncatedFile == "" != (want == 0) || rep.Head.Offset != head {
		b.t.Errorf("Report = %+v, want %d bytes cut off and head %d", rep, want, head)
	}
	write(b.t, j, 3)
	wantFrames(b.t, j, head+3)
	sync(b.t, j)
	after, rep := open(b.t, memConfig(), m.Kill())
	defer closeJournal(b.t, after)
	wantFrames(b.t, after, head+3)
	if rep.TruncatedBytes != 0 {
		b.t.Errorf("Report of the second opening = %+v, want nothing cut off", rep)
	}
}

// wantCorrupt says whether the journal refuses to open and names the frame.
func (b built) wantCorrupt(data []byte, bad uint64, unsynced bool) {
	b.t.Helper()
	m := b.with(data)
	err := wantRefused(b.t, memConfig(), m, journal.ErrCorrupt)
	var c *journal.CorruptError
	if !errors.As(err, &c) || c.File != b.log || c.Byte != int64(b.starts[bad]) || c.Pos.Offset != bad || c.Unsynced != unsynced {
		b.t.Errorf("OpenFS() = %#v, want frame %d at byte %d, unsynced %v", c, bad, b.starts[bad], unsynced)
	}
	cfg := memConfig()
	cfg.AcceptUnsyncedLoss = true
	if !unsynced {
		wantRefused(b.t, cfg, m, journal.ErrCorrupt)
		return
	}
	j, rep := open(b.t, cfg, m)
	defer closeJournal(b.t, j)
	if rep.TruncatedFrames == 0 {
		b.t.Errorf("Report = %+v, want good frames cut off", rep)
	}
	wantFrames(b.t, j, bad-1)
}

func TestTornEnd(t *testing.T) {
	b := build(t)
	b.wantTorn(b.bytes, 30)

	// A write that was cut at any byte of the last two frames.
	for cut := b.starts[29]; cut < len(b.bytes); cut++ {
		head := uint64(28)
		if cut >= b.starts[30] {
			head = 29
		}
		b.wantTorn(b.bytes[:cut], head)
	}
	// One whole batch and more.
	b.wantTorn(b.bytes[:b.starts[15]+20], 14)

	// The size reached the disk, the data did not, or only a part of it.
	zeros := func(n int) []byte { return make([]byte, n) }
	b.wantTorn(append(bytes.Clone(b.bytes), zeros(1)...), 30)
	b.wantTorn(append(bytes.Clone(b.bytes), zeros(43)...), 30)
	b.wantTorn(append(bytes.Clone(b.bytes), zeros(100_000)...), 30)
	b.wantTorn(append(bytes.Clone(b.bytes[:b.starts[20]+50]), zeros(5000)...), 19)
	b.wantTorn(append(bytes.Clone(b.bytes[:b.starts[20]+3]), zeros(5000)...), 19)

	// Whatever else: a bit of the last frame, random bytes.
	for at := b.starts[30]; at < len(b.bytes); at++ {
		b.wantTorn(b.flip(at), 29)
	}
	r := journaltest.Seed(t)
	for range 20 {
		junk := make([]byte, r.IntN(20_000))
		for i := range junk {
			junk[i] = byte(r.Uint32())
		}
		b.wantTorn(append(bytes.Clone(b.bytes), junk...), 30)
	}
}

func TestTornEndWithImagesOfFrames(t *testing.T) {
	b := build(t)
	// Old frames of the same segment, whole: the disk gave a block back that had been cut off before.
	b.wantTorn(append(bytes.Clone(b.bytes[:len(b.bytes)-5]), b.bytes[b.starts[3]:b.starts[9]]...), 29)
	// Later frames, but of another segment: the salt differs.
	other := build(t)
	b.wantTorn(append(bytes.Clone(b.bytes[:b.starts[20]+7]), other.bytes[other.starts[25]:]...), 19)
}

func TestCorruptMiddle(t *testing.T) {
	b := build(t)
	// Every byte of a frame that was fsynced.
	for at := b.starts[5]; at < b.starts[6]; at++ {
		b.wantCorrupt(b.flip(at), 5, false)
	}
	// A length that reaches over the end of the file does not make it a torn end.
	data := bytes.Clone(b.bytes)
	binary.LittleEndian.PutUint32(data[b.starts[5]+4:], 1<<20)
	b.wantCorrupt(data, 5, false)
	// Bytes that are missing or too many.
	b.wantCorrupt(append(bytes.Clone(b.bytes[:b.starts[5]]), b.bytes[b.starts[5]+1:]...), 5, false)
	b.wantCorrupt(append(append(bytes.Clone(b.bytes[:b.starts[5]]), 0), b.bytes[b.starts[5]:]...), 5, false)
	// A whole frame that is missing, or there twice.
	b.wantCorrupt(append(bytes.Clone(b.bytes[:b.starts[5]]), b.bytes[b.starts[6]:]...), 5, false)
	b.wantCorrupt(append(bytes.Clone(b.bytes[:b.starts[6]]), b.bytes[b.starts[5]:]...), 6, false)
	// Zeros over a page, then a torn end: the frames between them are the witness.
	data = bytes.Clone(b.bytes)
	clear(data[b.starts[8]:b.starts[9]])
	b.wantCorrupt(data[:len(data)-3], 8, false)
}

func TestCorruptOrPowerCut(t *testing.T) {
	b := build(t)
	for at := b.starts[12]; at < b.starts[13]; at += 7 {
		b.wantCorrupt(b.flip(at), 12, true)
	}
	data := bytes.Clone(b.bytes)
	clear(data[b.starts[11]:b.starts[29]])
	b.wantCorrupt(data, 11, true)
	// The last frame that was fsynced, the first that was not.
	b.wantCorrupt(b.flip(b.starts[10]), 10, false)
	b.wantCorrupt(b.flip(b.starts[11]), 11, true)
}

func TestDamageAfterClose(t *testing.T) {
	m := vfs.NewMem()
	j, rep := open(t, memConfig(), m)
	if !rep.New || !rep.Clean {
		t.Errorf("Report = %+v, want new and clean", rep)
	}
	write(t, j, 30)
	closeJournal(t, j)
	log := newestLog(t, m)
	data := m.Bytes(log)

	f := func(data []byte) {
		t.Helper()
		damaged := m.Kill()
		damaged.SetBytes(log, data)
		wantRefused(t, memConfig(), damaged, journal.ErrCorrupt)
	}
	f(data[:len(data)-1])
	f(data[:64])
	f(nil)
	flipped := bytes.Clone(data)
	flipped[len(data)-20] ^= 1
	f(flipped)

	removed := m.Kill()
	if err := removed.Remove(log); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, memConfig(), removed, journal.ErrCorrupt)

	j, rep = open(t, memConfig(), m)
	if rep.New || !rep.Clean || rep.Head.Offset != 30 {
		t.Errorf("Report = %+v, want clean, head 30", rep)
	}
	wantFrames(t, j, 30)
	if _, rep := open(t, memConfig(), m.Kill()); rep.Clean {
		t.Errorf("Report = %+v, want not clean: the journal was open", rep)
	}
}

// many returns a killed journal of several segments.
func many(t *testing.T, compact bool) *vfs.Mem {
	t.Helper()
	cfg := memConfig()
	cfg.SegmentBytes = 4 << 10
	m := vfs.NewMem()
	j, _ := open(t, cfg, m)
	write(t, j, 200)
	sync(t, j)
	wantFrames(t, j, 200)
	closeJournal(t, j)
	if compact {
		compactAll(t, cfg, m)
	}
	if n := len(logs(t, m)); n < 5 {
		t.Fatalf("%d segments, want at least 5", n)
	}
	return m.Kill()
}

func TestDamagedSegments(t *testing.T) {
	for _, compact := range []bool{false, true} {
		m := many(t, compact)
		list := logs(t, m)
		f := func(damage func(m *vfs.Mem), want error) {
			t.Helper()
			damaged := m.Kill()
			damage(damaged)
			wantRefused(t, memConfig(), damaged, want)
		}
		remove := func(i int) func(*vfs.Mem) {
			return func(m *vfs.Mem) {
				if err := m.Remove(list[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		f(remove(0), journal.ErrCorrupt)
		f(remove(2), journal.ErrCorrupt)
		f(remove(len(list)-1), journal.ErrCorrupt)
		f(func(m *vfs.Mem) { m.SetBytes(list[2], m.Bytes(list[3])) }, journal.ErrCorrupt)
		f(func(m *vfs.Mem) { m.SetBytes(list[2], nil) }, journal.ErrCorrupt)
		f(func(m *vfs.Mem) { m.SetBytes(list[2], make([]byte, 64)) }, journal.ErrCorrupt)
		f(func(m *vfs.Mem) { m.SetBytes(list[2], m.Bytes(list[2])[:len(m.Bytes(list[2]))-1]) }, journal.ErrCorrupt)
		f(func(m *vfs.Mem) { m.SetBytes(list[2], m.Bytes(list[2])[:70]) }, journal.ErrCorrupt)
		for at := range 64 { // every byte of the header
			want := journal.ErrCorrupt
			if at < 10 {
				want = journal.ErrFormat
			}
			f(func(m *vfs.Mem) { flip(m, list[2], at) }, want)
		}
		if compact {
			size := len(m.Bytes(list[2]))
			for at := size - 112 - 8; at < size; at++ { // every byte of the footer and of the index
				f(func(m *vfs.Mem) { flip(m, list[2], at) }, journal.ErrCorrupt)
			}
			continue
		}
		f(func(m *vfs.Mem) { flip(m, list[2], 500) }, journal.ErrCorrupt)
	}
}

func flip(m *vfs.Mem, file string, at int) {
	data := m.Bytes(file)
	data[at] ^= 0x10
	m.SetBytes(file, data)
}

// A compact segment is not read on opening: a bad frame in it shows when it is read.
func TestDamagedFrameInCompactSegment(t *testing.T) {
	m := many(t, true)
	list := logs(t, m)
	flip(m, list[0], 200)
	j, _ := open(t, memConfig(), m)
	var bad uint64
	for i := uint64(1); i <= 200; i++ {
		_, err := j.Get(journal.Pos{Offset: i})
		if err == nil {
			continue
		}
		var c *journal.CorruptError
		if !errors.As(err, &c) || c.File != list[0] || c.Pos.Offset != i {
			t.Errorf("Get(%d) = %v, want a CorruptError that names it", i, err)
		}
		if bad == 0 {
			bad = i
		}
	}
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	for i := uint64(1); i < bad; i++ {
		if _, err := c.Next(t.Context()); err != nil {
			t.Fatalf("Next() = %v, want frame %d", err, i)
		}
	}
	for range 2 {
		if _, err := c.Next(t.Context()); bad == 0 || !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("Next() at frame %d = %v, want ErrCorrupt", bad, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
}

func TestTornSegmentCreation(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes = 4 << 10
	m := many(t, false)
	next := path.Join(dir, "00000000000000000201.log")
	f := func(head []byte) {
		t.Helper()
		torn := m.Kill()
		torn.SetBytes(next, head)
		j, rep := open(t, cfg, torn)
		defer closeJournal(t, j)
		if rep.TruncatedFile != next || rep.TruncatedBytes != int64(len(head)) {
			t.Errorf("Report = %+v, want %q removed", rep, next)
		}
		wantFrames(t, j, 200)
		write(t, j, 100)
		wantFrames(t, j, 300)
	}
	f(nil)
	f([]byte("pbjournl"))
	f(make([]byte, 64))
	f(make([]byte, 63))

	// Zeros, and then something: only a person can say whether the machine lost power.
	lost := m.Kill()
	lost.SetBytes(next, append(make([]byte, 4096), "frames"...))
	err := wantRefused(t, cfg, lost, journal.ErrCorrupt)
	if c := new(journal.CorruptError); !errors.As(err, &c) || !c.Unsynced {
		t.Errorf("OpenFS() = %v, want unsynced", err)
	}
	cfg.AcceptUnsyncedLoss = true
	j, _ := open(t, cfg, lost)
	wantFrames(t, j, 200)
}

func TestFormatOfOtherVersion(t *testing.T) {
	m := many(t, true)
	for _, file := range append(logs(t, m), dir+"/keys", dir+"/state") {
		for _, damage := range []func([]byte){
			func(b []byte) { b[8] = 3 },
			func(b []byte) { b[0] = 'x' },
		} {
			other := m.Kill()
			data := other.Bytes(file)
			damage(data)
			for at := 0; at < len(data) && path.Base(file) == "state"; at += 512 { // its slots are believed by checksum only
				damage(data[at:])
				binary.LittleEndian.PutUint32(data[at+60:], crc32.Checksum(data[at:at+60], crc32.MakeTable(crc32.Castagnoli)))
			}
			other.SetBytes(file, data)
			err := wantRefused(t, memConfig(), other, journal.ErrFormat)
			if err != nil && !strings.Contains(err.Error(), file) {
				t.Errorf("OpenFS() = %v, want the path %q in it", err, file)
			}
		}
	}
}

func TestFilesOfAnotherJournal(t *testing.T) {
	one, two := many(t, false), many(t, false)
	for _, file := range []string{logs(t, one)[1], dir + "/keys", dir + "/state"} {
		m := one.Kill()
		m.SetBytes(file, two.Bytes(file))
		err := wantRefused(t, memConfig(), m, journal.ErrForeign)
		if err != nil && !strings.Contains(err.Error(), file) {
			t.Errorf("OpenFS() = %v, want the path %q in it", err, file)
		}
	}
	cfg := memConfig()
	cfg.Partition = 7
	wantRefused(t, cfg, one, journal.ErrForeign)
}

func TestUnfinishedFilesAreRemoved(t *testing.T) {
	m := many(t, false)
	for _, name := range []string{"keys.tmp", "00000000000000000001.log.tmp"} {
		m.SetBytes(path.Join(dir, name), []byte("half"))
	}
	m.SetBytes(path.Join(dir, "notes.txt"), []byte("not ours"))
	j, rep := open(t, memConfig(), m)
	if len(rep.RemovedFiles) != 2 {
		t.Errorf("Report.RemovedFiles = %q, want two", rep.RemovedFiles)
	}
	wantFrames(t, j, 200)
	if m.Bytes(path.Join(dir, "notes.txt")) == nil {
		t.Errorf("a file that is not the journal's was removed")
	}
}

func TestMissingStateFile(t *testing.T) {
	m := many(t, false)
	if err := m.Remove(dir + "/state"); err != nil {
		t.Fatal(err)
	}
	j, rep := open(t, memConfig(), m)
	if rep.New || rep.Clean {
		t.Errorf("Report = %+v, want neither new nor clean", rep)
	}
	wantFrames(t, j, 200)
}

func TestSecondOpenerIsRefused(t *testing.T) {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = filepath.Join(t.TempDir(), "made", "on", "the", "way"), journaltest.MasterKey()
	j, _, err := journal.OpenFile(cfg)
	if err != nil {
		t.Fatalf("OpenFile() = %v, want nil", err)
	}
	_, _, err = journal.OpenFile(cfg)
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), cfg.Dir) || !strings.Contains(err.Error(), "process") {
		t.Errorf("OpenFile() of an open directory = %v, want ErrLocked with directory and process", err)
	}
	closeJournal(t, j)
	j, _, err = journal.OpenFile(cfg)
	if err != nil {
		t.Fatalf("OpenFile() after Close = %v, want nil", err)
	}
	closeJournal(t, j)
}
