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
		m := m.Kill()
		m.SetBytes(keysFile, data)
		err := wantRefused(t, memConfig(), m, want)
		if err != nil && !strings.Contains(err.Error(), keysFile) {
			t.Errorf("OpenFS() = %v, want the path in it", err)
		}
	}
	data := m.Bytes(keysFile)
	for at := range data { // every byte that was safe
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x20
		want := journal.ErrCorrupt
		if at < 10 {
			want = journal.ErrFormat
		}
		f(damaged, want)
	}
	for n := range data { // every length
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

// After a power cut the log may know keys that the keys file lost: never as erased, never under another key.
func TestLostKeys(t *testing.T) {
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), m)
	ids := makeKeys(t, j, 2)
	seal(t, j, ids...)
	sync(t, j)
	ids = append(ids, makeKeys(t, j, 2)...)
	seal(t, j, ids[2])
	write(t, j, 1)
	killed := m.Kill()
	data := killed.Bytes(keysFile)

	for _, keys := range [][]byte{
		data[:3*64],    // both lost
		data[:3*64+20], // the first of them torn
		append(bytes.Clone(data[:3*64]), make([]byte, 2*64)...),                       // the size is there, the bytes are not
		append(append(bytes.Clone(data[:3*64]), make([]byte, 64)...), data[4*64:]...), // only the second is there
	} {
		m := killed.Kill()
		m.SetBytes(keysFile, keys)
		// Frame 3 cannot be read, frame 4 can: what a power cut leaves, but a person has to say so.
		err := wantRefusedButKeys(t, m)
		var c *journal.CorruptError
		if !errors.As(err, &c) || c.Pos.Offset != 3 || !c.Unsynced {
			t.Errorf("OpenFS() = %v, want frame 3, unsynced", err)
		}
		cfg := memConfig()
		cfg.AcceptUnsyncedLoss = true
		j, rep := open(t, cfg, m)
		if rep.Head.Offset != 2 {
			t.Errorf("Report = %+v, want head 2", rep)
		}
		fresh := makeKeys(t, j, 1)[0]
		for _, lost := range ids[2:] {
			if j.Keys().Has(lost) && len(keys) < 5*64 && lost != fresh {
				t.Errorf("Has(%d) = true, want the lost key lost", lost)
			}
		}
		seal(t, j, fresh)
		closeJournal(t, j)
		j, _ = open(t, memConfig(), m)
		if f, err := j.Get(journal.Pos{Offset: 3}); err != nil || string(f.Payload) != "sealed" {
			t.Errorf("Get(3) = %+v, %v, want what was sealed with the fresh key %d", f, err, fresh)
		}
		closeJournal(t, j)
	}

	// Nothing readable behind it: simply torn.
	m = vfs.NewMem()
	j, _ = open(t, memConfig(), m)
	seal(t, j, makeKeys(t, j, 1)...)
	sync(t, j)
	seal(t, j, makeKeys(t, j, 1)...)
	killed = m.Kill()
	killed.SetBytes(keysFile, killed.Bytes(keysFile)[:2*64])
	j, rep := open(t, memConfig(), killed)
	if rep.Head.Offset != 1 || rep.TruncatedBytes == 0 {
		t.Errorf("Report = %+v, want the frame of the lost key cut off", rep)
	}
	closeJournal(t, j)
}

// wantRefusedButKeys is wantRefused, but slots that never were may be marked as void before the log is looked at.
func wantRefusedButKeys(t *testing.T, m *vfs.Mem) error {
	t.Helper()
	_, _, err := journal.OpenFS(memConfig(), m)
	if err == nil {
		t.Fatalf("OpenFS() = nil, want an error")
	}
	return err
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
						return &vfs.ShortWrite{N: 10, Err: syscall.ENOSPC}
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
	newKey := func(j journal.Journal, _ journal.KeyID) error {
		id, err := j.Keys().New()
		if err == nil {
			seal(t, j, id)
		}
		return err
	}
	f("New, write", "write", newKey, journal.ErrNoSpace, false)
	f("Drop, write", "write", func(j journal.Journal, id journal.KeyID) error { return j.Keys().Drop(id) }, journal.ErrNoSpace, false)
	f("Drop, fsync", "sync", func(j journal.Journal, id journal.KeyID) error { return j.Keys().Drop(id) }, journal.ErrIO, true)
	f("Sync, fsync", "sync", func(j journal.Journal, _ journal.KeyID) error {
		if err := newKey(j, 0); err != nil {
			return err
		}
		return j.Keys().Sync()
	}, journal.ErrIO, true)
	f("frame, fsync", "sync", func(j journal.Journal, _ journal.KeyID) error {
		if err := newKey(j, 0); err != nil {
			return err
		}
		return j.Sync(t.Context())
	}, journal.ErrIO, true)
}
