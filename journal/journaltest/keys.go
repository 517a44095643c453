package journaltest

import (
	"pitboss/journal"
)

func (s suite) testErase() {
	t := s.t
	j, keys := s.Journal, s.Journal.Keys()
	gone, kept := newKey(t, j), newKey(t, j)
	erased := journal.Frame{Kind: 7, KeyID: gone, Time: 3, Payload: []byte("personal")}
	stays := journal.Frame{Kind: 8, KeyID: kept, Time: 4, Payload: []byte("stays")}
	erased.Pos, stays.Pos = Write(t, j, erased), Write(t, j, stays)
	wantFrame(t, j, erased)
	pending, err := j.Seal(erased)
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}

	for range 2 {
		err = keys.Drop(gone)
		if err != nil {
			t.Fatalf("Drop(%d) = %v, want nil", gone, err)
		}
	}
	if keys.Has(gone) || !keys.Has(kept) {
		t.Errorf("Has(dropped), Has(kept) = %v, %v, want false, true", keys.Has(gone), keys.Has(kept))
	}
	erased.Payload, erased.Erased = nil, true
	wantFrame(t, j, erased)
	wantFrame(t, j, stays)
	_, err = j.Seal(erased)
	wantErr(t, "Seal(dropped key)", err, journal.ErrErased)

	// A record sealed before the drop may still arrive: it is unreadable too.
	p, err := j.Append(pending)
	if err != nil {
		t.Fatalf("Append(sealed before Drop) = %v, want nil", err)
	}
	if err := j.Written(t.Context(), p); err != nil {
		t.Fatalf("Written(%v) = %v, want nil", p, err)
	}
	erased.Pos = p
	wantFrame(t, j, erased)
	if st := j.Stats(); st.Keys != 1 || st.KeysDropped != 1 {
		t.Errorf("Stats() = %d keys, %d dropped, want 1, 1", st.Keys, st.KeysDropped)
	}
}

func (s suite) testKeyErrors() {
	t := s.t
	j, keys := s.Journal, s.Journal.Keys()
	_, err := j.Seal(journal.Frame{KeyID: 1})
	wantErr(t, "Seal(key that was never made)", err, journal.ErrNoKey)
	wantErr(t, "Drop(1)", keys.Drop(1), journal.ErrNoKey)
	wantErr(t, "Drop(0)", keys.Drop(0), journal.ErrNoKey)
	if keys.Has(0) || keys.Has(1) || keys.Has(1<<63) {
		t.Errorf("Has() of keys that were never made = true, want false")
	}
	if err := keys.Sync(); err != nil {
		t.Errorf("Keys().Sync() = %v, want nil", err)
	}
	seen := map[journal.KeyID]bool{0: true}
	for range 100 {
		id := newKey(t, j)
		if seen[id] {
			t.Errorf("Keys().New() = %d a second time", id)
		}
		seen[id] = true
	}
}
