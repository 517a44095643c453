package journal_test

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

const keysFile = dir + "/keys"

// seal writes one frame per key.
func seal(t testing.TB, j journal.Journal, ids ...journal.KeyID) {
	t.Helper()
	for _, id := range ids {
		journaltest.Write(t, j, journal.Frame{KeyID: id, Payload: []byte("sealed")})
	}
}

func makeKeys(t testing.TB, j journal.Journal, n int) (ids []journal.KeyID) {
	t.Helper()
	for range n {
		id, err := j.Keys().New()
		if err != nil {
			t.Fatalf("New() = %v, want nil", err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestKeysSurvive(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	ids := makeKeys(t, j, 6000) // more than are cached
	seal(t, j, ids...)
	if err := j.Keys().Drop(ids[10]); err != nil {
		t.Fatalf("Drop() = %v, want nil", err)
	}
	check := func(j journal.Journal) {
		t.Helper()
		for i, id := range ids {
			f, err := j.Get(journal.Pos{Offset: uint64(i + 1)})
			if err != nil || f.Erased != (i == 10) || (string(f.Payload) == "sealed") == f.Erased {
				t.Fatalf("Get(%d) = %+v, %v, want the payload, or erased for the tenth", i+1, f, err)
			}
			if j.Keys().Has(id) != (i != 10) {
				t.Errorf("Has(%d) = %v, want %v", id, i == 10, i != 10)
			}
		}
	}
	check(j)
	killed, _ := open(t, memConfig(), m.Kill())
	check(killed)
	closeJournal(t, j)
	j, _ = open(t, memConfig(), m)
	check(j)
	if id := makeKeys(t, j, 1)[0]; int(id) != len(ids)+1 {
		t.Errorf("New() after opening = %d, want %d", id, len(ids)+1)
	}
	if st := j.Stats(); st.Keys != 6000 || st.KeysDropped != 1 {
		t.Errorf("Stats() = %d keys, %d dropped, want 6000, 1", st.Keys, st.KeysDropped)
	}
}

func TestDropOverwritesKey(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	ids := makeKeys(t, j, 3)
	seal(t, j, ids...)
	before := m.Bytes(keysFile)[2*64 : 3*64]
	if err := j.Keys().Drop(ids[1]); err != nil {
		t.Fatalf("Drop() = %v, want nil", err)
	}
	// On the disk, as a power cut at this moment shows it, nothing is left of the wrapped key.
	cut := m.PowerCut(journaltest.Seed(t), true)
	after := cut.Bytes(keysFile)
	if bytes.Contains(after, before[16:32]) || !bytes.Equal(after[2*64+4:3*64], make([]byte, 60)) {
		t.Errorf("slot after Drop = %x, want zeros from byte 4 on", after[2*64:3*64])
	}
}

func TestWrongMasterKey(t *testing.T) {
	m := many(t, false)
	cfg := memConfig()
	cfg.MasterKey = bytes.Repeat([]byte{1}, 32)
	wantRefused(t, cfg, m, journal.ErrWrongKey)
}

func TestDamagedKeys(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	seal(t, j, makeKeys(t, j, 5)...)
	closeJournal(t, j)
	f := func(data []byte, want error) {
		t.Helper()
		damaged := m.Kill()
		damaged.SetBytes(keysFile, data)
		err := wantRefused(t, memConfig(), damaged, want)
		if err != nil && !strings.Contains(err.Error(), keysFile) {
			t.Errorf("OpenFS() = %v, want the path in it", err)
		}
	}
	data := m.Bytes(keysFile)
	for at := range data[:6*64] { // every byte of what was given to somebody
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x20
		want := journal.ErrCorrupt
		if at < 10 {
			want = journal.ErrFormat
		}
		f(damaged, want)
	}
	for n := range data[:6*64] { // every length
		f(data[:n], journal.ErrCorrupt)
	}
	f(nil, journal.ErrCorrupt)
	zeroed := bytes.Clone(data)
	clear(zeroed[128:192])
	f(zeroed, journal.ErrCorrupt)

	gone := m.Kill()
	if err := gone.Remove(keysFile); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, memConfig(), gone, journal.ErrCorrupt)
}

// The last batch of slots may be torn, if none of its keys was given away: they are void then, and never given.
func TestTornKeys(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	makeKeys(t, j, 1)
	killed := m.Kill()
	data := killed.Bytes(keysFile)
	if len(data) != 64+256*64 {
		t.Fatalf("the keys file has %d bytes, want one batch of 256 slots", len(data))
	}
	f := func(data []byte, void ...journal.KeyID) {
		t.Helper()
		m := killed.Kill()
		m.SetBytes(keysFile, data)
		j, _ := open(t, memConfig(), m)
		for _, id := range void {
			if j.Keys().Has(id) {
				t.Errorf("Has(%d) = true, want void", id)
			}
		}
		for _, id := range makeKeys(t, j, 300) {
			if int(id) < (len(data)-1)/64 {
				t.Errorf("New() = %d, want a key that was not on the disk before", id)
			}
		}
		seal(t, j, makeKeys(t, j, 1)...)
		closeJournal(t, j)
		j, _ = open(t, memConfig(), m)
		if got, err := j.Get(j.Head()); err != nil || string(got.Payload) != "sealed" {
			t.Errorf("Get(%v) = %+v, %v, want what was sealed", j.Head(), got, err)
		}
		closeJournal(t, j)
	}
	f(data)
	f(data[:64])
	f(data[:64+10*64])
	f(data[:64+10*64+1], 11)
	f(data[:64+10*64+63], 11)
	f(append(bytes.Clone(data[:64+10*64]), make([]byte, 246*64)...), 11, 256)
	f(append(append(bytes.Clone(data[:64+10*64]), make([]byte, 64)...), data[64+11*64:]...), 11)
}

// Keys are on the disk before frames: a log that knows more of them was given an older keys file.
func TestKeysOlderThanLog(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	seal(t, j, makeKeys(t, j, 256)...)
	old := m.Bytes(keysFile)
	seal(t, j, makeKeys(t, j, 1)...)
	killed := m.Kill()
	killed.SetBytes(keysFile, old)
	err := wantRefused(t, memConfig(), killed, journal.ErrCorrupt)
	var c *journal.CorruptError
	if !errors.As(err, &c) || c.Pos.Offset != 257 || c.Unsynced {
		t.Errorf("OpenFS() = %v, want frame 257, not called unsynced", err)
	}
}

// After a clean end the spare keys are used; after a crash nobody knows which were.
func TestSpareKeys(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	makeKeys(t, j, 3)
	killed := m.Kill()
	closeJournal(t, j)
	f := func(m *vfs.Mem, want journal.KeyID, live uint64) {
		t.Helper()
		j, _ := open(t, memConfig(), m)
		if st := j.Stats(); st.Keys != live {
			t.Errorf("Stats() = %d keys, want %d", st.Keys, live)
		}
		if id := makeKeys(t, j, 1)[0]; id != want {
			t.Errorf("New() = %d, want %d", id, want)
		}
		closeJournal(t, j)
	}
	f(m, 4, 3)
	f(m, 5, 4)
	f(killed, 257, 256)
}

func TestKeyFaults(t *testing.T) {
	f := func(name, op string, do func(j journal.Journal, id journal.KeyID) error, want error, wantFailed bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			m := vfs.NewMem()
			broken := false
			j, _ := open(t, memConfig(), vfs.Faulty{FS: m, Hook: func(o vfs.Op) error {
				if broken && strings.HasPrefix(o.File, "keys") && o.Name == op {
					if op == "write" {
						return &vfs.ShortWriteError{N: 10, Err: syscall.ENOSPC}
					}
					m.LoseDirty(keysFile)
					return syscall.EIO
				}
				return nil
			}})
			ids := makeKeys(t, j, 2)
			seal(t, j, ids...)
			sync(t, j)
			broken = true
			if err := do(j, ids[0]); !errors.Is(err, want) {
				t.Errorf("with a broken disk = %v, want %v", err, want)
			}
			if (j.Failed() != nil) != wantFailed {
				t.Errorf("Failed() = %v, want failed %v", j.Failed(), wantFailed)
			}
			broken = false
			if err := j.Recover(t.Context()); err != nil {
				t.Fatalf("Recover() = %v, want nil", err)
			}
			if err := do(j, ids[0]); err != nil {
				t.Errorf("after Recover = %v, want nil", err)
			}
			erased := !j.Keys().Has(ids[0])
			seal(t, j, makeKeys(t, j, 1)...)
			head := j.Head()
			sync(t, j)
			// All of it is on the disk, not only in its cache.
			j, _ = open(t, memConfig(), m.PowerCut(journaltest.Seed(t), false))
			if j.Head() != head {
				t.Errorf("Head() after a power cut = %v, want %v", j.Head(), head)
			}
			for i := range head.Offset {
				got, err := j.Get(journal.Pos{Offset: i + 1})
				if err != nil || got.Erased != (erased && i == 0) {
					t.Errorf("Get(%d) after a power cut = %+v, %v, want erased %v", i+1, got, err, erased && i == 0)
				}
			}
		})
	}
	newKeys := func(j journal.Journal, _ journal.KeyID) error {
		for range 300 { // more than are spare
			id, err := j.Keys().New()
			if err != nil {
				return err
			}
			seal(t, j, id)
		}
		return nil
	}
	drop := func(j journal.Journal, id journal.KeyID) error { return j.Keys().Drop(id) }
	f("New, write", "write", newKeys, journal.ErrNoSpace, false)
	f("New, fsync", "sync", newKeys, journal.ErrIO, true)
	f("Drop, write", "write", drop, journal.ErrNoSpace, false)
	f("Drop, fsync", "sync", drop, journal.ErrIO, true)
}

// Keys that the failed fsync lost for good are not called good.
func TestKeyFaultLosesPages(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	closeJournal(t, j)
	broken := false
	j, _ = open(t, memConfig(), vfs.Faulty{FS: m, Hook: func(o vfs.Op) error {
		if broken && o.File == "keys" && o.Name == "sync" {
			return syscall.EIO
		}
		return nil
	}})
	ids := makeKeys(t, j, 2)
	broken = true
	if err := j.Keys().Drop(ids[0]); !errors.Is(err, journal.ErrIO) {
		t.Fatalf("Drop() = %v, want ErrIO", err)
	}
	broken = false
	rot(t, m, keysFile, 2*64+30)
	if err := j.Recover(t.Context()); !errors.Is(err, journal.ErrCorrupt) || j.Failed() == nil {
		t.Errorf("Recover() = %v, Failed() = %v, want ErrCorrupt and failed still", err, j.Failed())
	}
	rot(t, m, keysFile, 2*64+30)
	if err := j.Recover(t.Context()); err != nil || j.Keys().Has(ids[0]) || !j.Keys().Has(ids[1]) {
		t.Errorf("Recover() = %v, Has() = %v, %v, want nil, dropped, live", err, j.Keys().Has(ids[0]), j.Keys().Has(ids[1]))
	}
}
