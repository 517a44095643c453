package decide_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// slowStates are states whose disk sleeps before the first read that follows a call of sleep.
type slowStates struct {
	features.States
	next time.Duration
}

func (s *slowStates) Get(key features.EntityKey, buf []byte) ([]byte, bool, error) {
	time.Sleep(s.next)
	s.next = 0
	return s.States.Get(key, buf)
}

// slowJournal is a journal whose disk hangs while stuck is set.
type slowJournal struct {
	journal.Journal
	stuck bool
}

func (j *slowJournal) Written(ctx context.Context, p journal.Pos) error {
	if j.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return j.Journal.Written(ctx, p)
}

// What does not fit into the caller's time is skipped, the explanation first. Time stands still here but where the
// states sleep, so that what is left for the rest is known to the microsecond.
func TestDeadlineSkipsStages(t *testing.T) {
	b := loadTiny(t)
	cost := b.Model.Info().Cost
	micros := func(f float64) time.Duration { return time.Duration(f * float64(time.Microsecond)) }
	const record = 100 * time.Microsecond // what is kept for the record
	for _, test := range []struct {
		left time.Duration
		want []string
	}{
		{30 * time.Millisecond, nil},
		{record + 2*micros(cost.ExplainMicros), nil},
		{record + 2*micros(cost.ExplainMicros) - 1, []string{"explain:deadline"}},
		{record + 2*micros(cost.PredictMicros), []string{"explain:deadline"}},
		{record + 2*micros(cost.PredictMicros) - 1, []string{"model:deadline", "explain:deadline"}},
		{1, []string{"model:deadline", "explain:deadline"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &slowStates{States: states.NewMemory()}
			r := newRigOn(t, memory(), s, b)
			s.next = 30*time.Millisecond - test.left
			began := time.Now()
			d, err := r.decider.Decide(t.Context(), bet(t, nil), decide.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 30*time.Millisecond {
				t.Errorf("%v left: answered after %v", test.left, took)
			}
			if got := degraded(d); !slices.Equal(got, test.want) || d.Review != (len(test.want) > 0) {
				t.Errorf("%v left: degraded %v, want %v; answer %v", test.left, got, test.want, d)
			}
			scored := !slices.Contains(test.want, "model:deadline")
			if (d.Score != nil) != scored || scored != (d.RiskLevel != "") {
				t.Errorf("%v left: score %v", test.left, d.Score)
			}
			if len(test.want) > 0 && d.ReasonsStatus != "skipped" {
				t.Errorf("%v left: reasons are %s", test.left, d.ReasonsStatus)
			}
			// It is the recorded decision, and later there is time enough to hear it again.
			same(t, "asked again", d, r.decide(bet(t, nil), decide.Options{}))
		})
	}
}

// The vector's own deadline has passed: no vector, no score, and an answer without a promise.
func TestDeadlineOfTheVector(t *testing.T) {
	b := loadTiny(t)
	synctest.Test(t, func(t *testing.T) {
		s := &slowStates{States: states.NewMemory()}
		r := newRigOn(t, memory(), s, b)
		s.next = time.Second
		d, err := r.decider.Decide(t.Context(), bet(t, nil), decide.Options{Deadline: time.Now().Add(time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		got := degraded(d)
		if len(got) == 0 || got[len(got)-1] != "record:deadline" || d.Score != nil || !d.Review || d.Outcome != pb.Outcome_OUTCOME_ALLOW {
			t.Errorf("degraded %v, answer %v", got, d)
		}
		again := r.decide(bet(t, nil), decide.Options{})
		if again.DecisionId != d.DecisionId {
			t.Errorf("asked again: %v", again)
		}
	})
}

// A disk that hangs: the answer comes in time and promises nothing; what was appended is the decision all the same.
func TestDeadlineOfTheRecord(t *testing.T) {
	b := loadTiny(t)
	synctest.Test(t, func(t *testing.T) {
		j := &slowJournal{Journal: memory()}
		r := newRig(t, j, b)
		j.stuck = true
		began := time.Now()
		d, err := r.decider.Decide(t.Context(), bet(t, nil), decide.Options{Deadline: began.Add(5 * time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		if got := degraded(d); !slices.Equal(got, []string{"record:deadline"}) || d.Score != nil || len(d.Reactions) > 0 {
			t.Errorf("degraded %v, answer %v", got, d)
		}
		j.stuck = false
		again := r.decide(bet(t, nil), decide.Options{})
		if again.Status != pb.Status_STATUS_DUPLICATE || again.Score == nil || len(again.Degraded) > 0 {
			t.Errorf("asked again: %v", again)
		}
	})
}

// Whoever asks for an event that somebody else is deciding waits, but not beyond the deadline.
func TestDeadlineOfTheSlot(t *testing.T) {
	b := loadTiny(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory(), b)
		slot, err := r.engine.Admit(t.Context(), bet(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.decider.Decide(t.Context(), bet(t, nil), decide.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := degraded(d); !slices.Equal(got, []string{"model:deadline", "explain:deadline", "record:deadline"}) {
			t.Errorf("degraded %v", got)
		}
		slot.Release()
		if d := r.decide(bet(t, nil), decide.Options{}); d.Status != pb.Status_STATUS_NEW || len(d.Degraded) > 0 {
			t.Errorf("after the other one gave up: %v", d)
		}
	})
}

// The context's own deadline holds as well, if it is sooner.
func TestDeadlineOfTheContext(t *testing.T) {
	b := loadTiny(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory(), b)
		slot, err := r.engine.Admit(t.Context(), bet(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer slot.Release()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		defer cancel()
		if _, err := r.decider.Decide(ctx, bet(t, nil), decide.Options{Deadline: began.Add(time.Second)}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
}
