package decide

import (
	"testing"
	"time"

	"pitboss/models"
)

// A machine that stood still during one decision takes the reasons from no other; a stage that has become slow is left out
// for a while and then tried again: a price that is never measured again would leave it out for ever.
func TestPaceForgives(t *testing.T) {
	var p pace
	cost := models.Cost{PredictMicros: 10, ExplainMicros: 50}
	const budget = 30 * time.Millisecond
	if !p.fits(paceExplain, budget, cost) || p.fits(paceExplain, 150*time.Microsecond, cost) {
		t.Error("before the first measurement the model's predicted cost counts")
	}
	p.took(paceExplain, 500*time.Millisecond)
	if !p.fits(paceExplain, budget, cost) {
		t.Error("one decision of 500 ms leaves the stage out")
	}
	slow := 0
	for p.fits(paceExplain, budget, cost) {
		p.took(paceExplain, 200*time.Millisecond)
		if slow++; slow > 50 {
			t.Fatal("a stage of 200 ms still fits into 30 ms")
		}
	}
	refused := 0
	for !p.fits(paceExplain, budget, cost) {
		if refused++; refused > 1000 {
			t.Fatal("the stage is never tried again")
		}
	}
	for range 200 {
		p.took(paceExplain, 40*time.Microsecond)
	}
	if !p.fits(paceExplain, 200*time.Microsecond, cost) {
		t.Errorf("the price is still %v", time.Duration(p.nanos[paceExplain].Load()))
	}
}

// The reserve for the record follows what records cost, within bounds.
func TestPaceReserve(t *testing.T) {
	var p pace
	if got := p.reserve(); got != leastRecord {
		t.Errorf("reserve is %v at first, want %v", got, leastRecord)
	}
	p.took(paceRecord, time.Millisecond)
	if got := p.reserve(); got != 2*time.Millisecond {
		t.Errorf("reserve is %v, want 2ms", got)
	}
	for range 20 {
		p.took(paceRecord, time.Second)
	}
	if got := p.reserve(); got != mostRecord {
		t.Errorf("reserve is %v, want %v", got, mostRecord)
	}
}
