package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pitboss/journal"
)

func (s suite) testForeign() {
	t := s.t
	j := s.Journal
	other := journal.NewMemory(journal.MemoryConfig{})
	rec, err := other.Seal(journal.Frame{})
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}
	_, err = j.Append(rec)
	wantErr(t, "Append(record of another journal)", err, journal.ErrForeign)
	_, err = j.Append(journal.Sealed{})
	wantErr(t, "Append(nothing)", err, journal.ErrForeign)

	Write(t, j, journal.Frame{})
	p := journal.Pos{Partition: 1, Offset: 1}
	_, err = j.Get(p)
	wantErr(t, "Get(1/1)", err, journal.ErrForeign)
	_, err = j.Read(p)
	wantErr(t, "Read(1/1)", err, journal.ErrForeign)
	wantErr(t, "Written(1/1)", j.Written(t.Context(), p), journal.ErrForeign)
	wantErr(t, "Durable(1/1)", j.Durable(t.Context(), p), journal.ErrForeign)
}

func (s suite) testWait() {
	t := s.t
	j := s.Journal
	p := Append(t, j, journal.Frame{})
	if err := j.Durable(t.Context(), p); err != nil {
		t.Errorf("Durable(%v) = %v, want nil", p, err)
	}
	if err := j.Written(t.Context(), p); err != nil {
		t.Errorf("Written(%v) = %v, want nil", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Written(canceled)", j.Written(ctx, p), context.Canceled)
	wantErr(t, "Durable(canceled)", j.Durable(ctx, p), context.Canceled)
	wantErr(t, "Recover(canceled)", j.Recover(ctx), context.Canceled)
}

func (s suite) testFail() {
	t := s.t
	j, cause := s.Journal, errors.New("the disk is on fire")
	kept := Write(t, j, journal.Frame{Kind: 1})
	s.FailNext(cause)
	lost := Append(t, j, journal.Frame{Kind: 2})
	for _, wait := range []func(context.Context, journal.Pos) error{j.Written, j.Durable} {
		err := wait(t.Context(), lost)
		wantErr(t, "waiting for the lost frame", err, journal.ErrFailed)
		wantErr(t, "waiting for the lost frame", err, cause)
	}
	wantErr(t, "Failed()", j.Failed(), cause)
	wantErr(t, "Sync()", j.Sync(t.Context()), journal.ErrFailed)
	rec, err := j.Seal(journal.Frame{Kind: 3})
	if err != nil {
		t.Fatalf("Seal() of a failed journal = %v, want nil", err)
	}
	_, err = j.Append(rec)
	wantErr(t, "Append() of a failed journal", err, journal.ErrFailed)
	err = j.Written(t.Context(), kept)
	if err != nil {
		t.Errorf("Written(before the failure) = %v, want nil", err)
	}
	wantErr(t, "Get(lost)", get(j, lost.Offset), journal.ErrNotFound)
	if st := j.Stats(); !st.Failed || st.Failures != 1 {
		t.Errorf("Stats() = failed %v, %d failures, want true, 1", st.Failed, st.Failures)
	}

	err = j.Recover(t.Context())
	if err != nil {
		t.Fatalf("Recover() = %v, want nil", err)
	}
	if j.Failed() != nil || j.Epoch() != 1 || j.Head() != kept {
		t.Errorf("after Recover: Failed() = %v, Epoch() = %d, Head() = %v, want nil, 1, %v", j.Failed(), j.Epoch(), j.Head(), kept)
	}
	p, err := j.Append(rec)
	if err != nil || p != lost {
		t.Errorf("Append() after Recover = %v, %v, want the lost position %v", p, err, lost)
	}
	if err := j.Durable(t.Context(), p); err != nil {
		t.Errorf("Durable(%v) after Recover = %v, want nil", p, err)
	}
	wantFrame(t, j, journal.Frame{Pos: kept, Kind: 1})
	wantFrame(t, j, journal.Frame{Pos: p, Kind: 3})
}

func (s suite) testConcurrent() {
	t := s.t
	j := s.Journal
	const writers, each = 16, 200
	var wg sync.WaitGroup
	var mu sync.Mutex
	want := map[journal.Pos]journal.Frame{}
	for w := range writers {
		key := newKey(t, j)
		wg.Go(func() {
			for i := range each {
				f := journal.Frame{Kind: journal.Kind(w), KeyID: key * journal.KeyID(i%2), Time: int64(i), Payload: fmt.Appendf(nil, "%d of %d", i, w)}
				f.Pos = Write(t, j, f)
				got, err := j.Get(f.Pos)
				if err != nil || diff(f, got) != "" {
					t.Errorf("Get(%v) right after Written = %+v, %v, want %+v", f.Pos, got, err, f)
				}
				mu.Lock()
				want[f.Pos] = f
				mu.Unlock()
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			if err := j.Sync(t.Context()); err != nil {
				t.Errorf("Sync() = %v, want nil", err)
			}
			_ = j.Segments()
			_ = j.Stats()
			j.SetFloor(journal.Pos{})
		}
	})
	wg.Go(func() {
		c, err := j.Read(journal.Pos{}, journal.Follow())
		if err != nil {
			t.Errorf("Read() = %v, want nil", err)
			return
		}
		defer closeCursor(t, c)
		for i := range uint64(writers * each) {
			if got, err := c.Next(t.Context()); err != nil || got.Pos.Offset != i+1 {
				t.Errorf("Next() = %v, %v, want frame %d", got.Pos, err, i+1)
				return
			}
		}
	})
	wg.Wait()
	if len(want) != writers*each || j.Head().Offset != writers*each {
		t.Errorf("%d positions, Head() = %v, want %d", len(want), j.Head(), writers*each)
	}
	for _, f := range want {
		wantFrame(t, j, f)
	}
}

func (s suite) testClosed() {
	t := s.t
	j := s.Journal
	p := Write(t, j, journal.Frame{})
	rec, err := j.Seal(journal.Frame{})
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}
	waiting, err := j.Read(p.Next(), journal.Follow())
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, nerr := waiting.Next(context.WithoutCancel(t.Context()))
		ended <- nerr
	}()
	err = j.Close()
	if err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}
	wantErr(t, "Next() that waited", <-ended, journal.ErrClosed)
	_, err = j.Append(rec)
	wantErr(t, "Append()", err, journal.ErrClosed)
	wantErr(t, "Get()", get(j, 1), journal.ErrClosed)
	_, err = j.Read(journal.Pos{})
	wantErr(t, "Read()", err, journal.ErrClosed)
	wantErr(t, "Recover()", j.Recover(t.Context()), journal.ErrClosed)
	wantErr(t, "Close()", j.Close(), journal.ErrClosed)
	if err := j.Written(t.Context(), p); err != nil {
		t.Errorf("Written(%v) = %v, want nil", p, err)
	}
	if err := j.Durable(t.Context(), p); err != nil {
		t.Errorf("Durable(%v) = %v, want nil: Close fsyncs", p, err)
	}
	closeCursor(t, waiting)
}
