package journaltest

import (
	"errors"
	"fmt"
	"io"

	"pitboss/journal"
)

func (s suite) testEmpty() {
	t := s.t
	j := s.Journal
	if head, tail := j.Head(), j.Tail(); head != (journal.Pos{}) || tail != (journal.Pos{}) {
		t.Errorf("Head(), Tail() = %v, %v, want nothing", head, tail)
	}
	if _, err := j.Get(journal.Pos{}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Get(nothing) = %v, want ErrNotFound", err)
	}
	wantErr(t, "Get(0/1)", get(j, 1), journal.ErrNotFound)
	wantErr(t, "Written(0/1)", j.Written(t.Context(), journal.Pos{Offset: 1}), journal.ErrNotFound)
	if err := j.Written(t.Context(), journal.Pos{}); err != nil {
		t.Errorf("Written(nothing) = %v, want nil", err)
	}
	if err := j.Sync(t.Context()); err != nil {
		t.Errorf("Sync() = %v, want nil", err)
	}
	for _, from := range []journal.Pos{{}, {Offset: 1}} {
		c, err := j.Read(from)
		if err != nil {
			t.Fatalf("Read(%v) = %v, want nil", from, err)
		}
		_, err = c.Next(t.Context())
		wantErr(t, "Next()", err, io.EOF)
	}
	_, err := j.Read(journal.Pos{Offset: 2})
	wantErr(t, "Read(0/2)", err, journal.ErrNotFound)
	if err := j.Recover(t.Context()); err != nil || j.Epoch() != 0 {
		t.Errorf("Recover() of a good journal = %v, Epoch() = %d, want nil, 0", err, j.Epoch())
	}
}

func get(j journal.Journal, offset uint64) error {
	_, err := j.Get(journal.Pos{Offset: offset})
	return err
}

func (s suite) testRoundTrip() {
	t := s.t
	j := s.Journal
	key := newKey(t, j)
	var frames []journal.Frame
	f := func(kind journal.Kind, id journal.KeyID, time int64, payload []byte) {
		t.Helper()
		frame := journal.Frame{Pos: journal.Pos{Offset: 99}, Kind: kind, KeyID: id, Time: time, Payload: payload}
		frame.Pos = Write(t, j, frame)
		frames = append(frames, frame)
	}
	f(0, 0, 0, nil)
	f(1, 0, 1, []byte("plain"))
	f(255, key, -1, []byte("sealed"))
	f(2, key, 1<<62, nil)
	f(3, newKey(t, j), 5, make([]byte, 1<<20))
	f(4, key, 6, make([]byte, 63))
	for _, want := range frames {
		wantFrame(t, j, want)
	}
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	defer closeCursor(t, c)
	for _, want := range frames {
		var got journal.Frame
		if got, err = c.Next(t.Context()); err != nil {
			t.Fatalf("Next() = %v, want frame %v", err, want.Pos)
		}
		if d := diff(want, got); d != "" {
			t.Errorf("Next(): -want +got\n%s", d)
		}
	}
	// What was read belongs to the reader.
	got, err := j.Get(frames[1].Pos)
	if err != nil {
		t.Fatalf("Get(%v) = %v, want nil", frames[1].Pos, err)
	}
	clear(got.Payload)
	wantFrame(t, j, frames[1])
}

func (s suite) testLimits() {
	t := s.t
	_, err := s.Journal.Seal(journal.Frame{Payload: make([]byte, 1<<20+1)})
	wantErr(t, "Seal(1 MiB + 1)", err, journal.ErrTooLarge)
}

func (s suite) testPositions() {
	t := s.t
	j := s.Journal
	for i := uint64(1); i <= 100; i++ {
		p := Append(t, j, journal.Frame{Payload: fmt.Append(nil, i)})
		if want := (journal.Pos{Offset: i}); p != want || j.Head() != want {
			t.Fatalf("Append() number %d = %v, Head() = %v, want %v", i, p, j.Head(), want)
		}
	}
	if err := j.Sync(t.Context()); err != nil {
		t.Fatalf("Sync() = %v, want nil", err)
	}
	if got, want := j.Tail(), (journal.Pos{Offset: 1}); got != want {
		t.Errorf("Tail() = %v, want %v", got, want)
	}
	if st := j.Stats(); st.Frames != 100 || st.Written != j.Head() || st.Durable != j.Head() || st.Failed {
		t.Errorf("Stats() = %+v, want 100 frames, all written and durable", st)
	}
	wantErr(t, "Get(0/101)", get(j, 101), journal.ErrNotFound)
	_, err := j.Read(journal.Pos{Offset: 102})
	wantErr(t, "Read(0/102)", err, journal.ErrNotFound)
}
