package journal_test

import (
	"bytes"
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// A segment of many chunks and parcels, with payloads larger than a chunk among them, reads as it was written: from any
// frame on, and one by one. A key that is dropped while a cursor is in the middle of its parcel ends what the cursor gives.
func TestCompactManyChunks(t *testing.T) {
	cfg := memConfig()
	cfg.SegmentBytes, cfg.BufferBytes, cfg.MaxPayloadBytes = 32<<20, 32<<20, 6<<20
	m := vfs.NewMem()
	j, _ := open(t, cfg, m)
	ids := makeKeys(t, j, 7)
	const n = 40_000
	of := func(i uint64) journal.Frame {
		f := journal.Frame{Pos: journal.Pos{Offset: i}, Kind: journal.Kind(i), Time: int64(i * i % 1000), KeyID: ids[i%7], Payload: payload(i)}
		if i%9 == 0 {
			f.KeyID = 0
		}
		if i == 777 || i == 30_000 {
			f.Payload = bytes.Repeat(noise(i), 50_000)
		}
		return f
	}
	for i := uint64(1); i <= n; i++ {
		journaltest.Append(t, j, of(i))
		if i%1000 == 0 {
			sync(t, j)
		}
	}
	closeJournal(t, j)
	cfg.SegmentBytes = 4 << 10
	j, _ = open(t, cfg, m)
	journaltest.Write(t, j, of(n+1))
	closeJournal(t, j)
	if st := compactAll(t, cfg, m); st.Compacted == 0 || st.CompactErrors > 0 {
		t.Fatalf("Stats() = %+v, want segments compacted", st)
	}

	j, _ = open(t, cfg, m)
	if s := j.Segments()[0]; !s.Compact || s.SHA256 != framesSHA(m, s.Path) {
		t.Errorf("Segments()[0] = %+v, want it compact", s)
	}
	want := func(got journal.Frame, i uint64, err error, erased bool) {
		t.Helper()
		f := of(i)
		if f.Erased = erased && f.KeyID == ids[3]; f.Erased {
			f.Payload = nil
		}
		same := got.Pos == f.Pos && got.Kind == f.Kind && got.Time == f.Time && got.KeyID == f.KeyID && got.Erased == f.Erased
		if err != nil || !same || !bytes.Equal(got.Payload, f.Payload) {
			t.Fatalf("frame %d = %v kind %d key %d erased %v, %d bytes, %v, want %d bytes, erased %v", i, got.Pos, got.Kind, got.KeyID,
				got.Erased, len(got.Payload), err, len(f.Payload), f.Erased)
		}
	}
	for _, from := range []uint64{1, 776, 20_001} {
		c, err := j.Read(journal.Pos{Offset: from})
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i <= n+1; i++ {
			got, err := c.Next(t.Context())
			want(got, i, err, i > 25_000 && from > 20_000)
			if i == 25_000 && from > 20_000 {
				if err := j.Keys().Drop(ids[3]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for i := uint64(1); i <= n; i += 997 {
		got, err := j.Get(journal.Pos{Offset: i})
		want(got, i, err, true)
	}
}
