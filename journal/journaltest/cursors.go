package journaltest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"pitboss/journal"
)

func (s suite) testCursor() {
	t := s.t
	j := s.Journal
	for i := range 300 {
		Write(t, j, journal.Frame{Payload: make([]byte, i*7), Time: int64(i)})
	}
	f := func(from uint64, want int) {
		t.Helper()
		c, err := j.Read(journal.Pos{Offset: from})
		if err != nil {
			t.Fatalf("Read(0/%d) = %v, want nil", from, err)
		}
		defer closeCursor(t, c)
		for i := range want {
			got, err := c.Next(t.Context())
			if offset := max(from, 1) + uint64(i); err != nil || got.Pos.Offset != offset || got.Time != int64(offset-1) {
				t.Fatalf("Read(0/%d), Next() number %d = %v, %v, want frame %d", from, i, got.Pos, err, offset)
			}
		}
		for range 2 {
			if _, err := c.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("Read(0/%d), Next() at the end = %v, want io.EOF", from, err)
			}
		}
	}
	f(0, 300)
	f(1, 300)
	f(150, 151)
	f(300, 1)
	f(301, 0)

	c, err := j.Read(journal.Pos{Offset: 301})
	if err != nil {
		t.Fatalf("Read(0/301) = %v, want nil", err)
	}
	defer closeCursor(t, c)
	_, err = c.Next(t.Context())
	if !errors.Is(err, io.EOF) {
		t.Errorf("Next() at the end = %v, want io.EOF", err)
	}
	p := Write(t, j, journal.Frame{})
	got, err := c.Next(t.Context())
	if err != nil || got.Pos != p {
		t.Errorf("Next() after io.EOF and another frame = %v, %v, want %v", got.Pos, err, p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Next(ctx)
	wantErr(t, "Next(canceled)", err, context.Canceled)
}

func (s suite) testFollow() {
	t := s.t
	j := s.Journal
	const n = 2000
	var wg sync.WaitGroup
	for range 3 {
		c, err := j.Read(journal.Pos{}, journal.Follow())
		if err != nil {
			t.Fatalf("Read() = %v, want nil", err)
		}
		wg.Go(func() {
			defer closeCursor(t, c)
			for i := uint64(1); i <= n; i++ {
				got, err := c.Next(t.Context())
				if err != nil || got.Pos.Offset != i {
					t.Errorf("Next() = %v, %v, want frame %d", got.Pos, err, i)
					return
				}
			}
		})
	}
	for range n {
		Append(t, j, journal.Frame{Payload: []byte("x")})
	}
	wg.Wait()

	c, err := j.Read(j.Head().Next(), journal.Follow())
	if err != nil {
		t.Fatalf("Read(behind the head) = %v, want nil", err)
	}
	defer closeCursor(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = c.Next(ctx)
	wantErr(t, "Next() with nothing to come", err, context.DeadlineExceeded)
}

func (s suite) testFollowDurable() {
	t := s.t
	j := s.Journal
	c, err := j.Read(journal.Pos{}, journal.Follow(), journal.OnlyDurable())
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	defer closeCursor(t, c)
	for range 20 {
		p := Append(t, j, journal.Frame{})
		got, err := c.Next(t.Context())
		if err != nil || got.Pos != p {
			t.Fatalf("Next() = %v, %v, want %v", got.Pos, err, p)
		}
		if st := j.Stats(); st.Durable.Less(p) {
			t.Errorf("Next() returned %v, durable is only %v", p, st.Durable)
		}
	}
}

func closeCursor(t *testing.T, c journal.Cursor) {
	t.Helper()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Cursor.Close() = %v, want nil", err)
		}
	}
}
