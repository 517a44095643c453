package decide

import (
	"sync/atomic"
	"time"

	"pitboss/models"
)

// The stages whose price pace knows.
type paced int

const (
	paceModel paced = iota
	paceExplain
	paceRecord
	pacedStages
)

// Reserves of the deadline. A stage runs only if twice its usual price and the reserve of the record fit in what is
// left: a stage cannot be stopped half-way, and an answer that is late is no answer.
const (
	safety      = 2
	leastRecord = 100 * time.Microsecond
	mostRecord  = 5 * time.Millisecond
)

// mostRise bounds what one measurement says: where the machine stood still during one decision, the sixty after it would
// go without reasons. What has become slower is known after a few decisions all the same: each raises the price by a fifth.
const mostRise = 4

// pace learns how long each stage takes, as a moving average over about 16 decisions, and says whether it still fits.
type pace struct {
	nanos [pacedStages]atomic.Int64
}

// took notes a measured price. Two writers at once may lose one measurement: it is an average.
func (p *pace) took(s paced, d time.Duration) {
	old := p.nanos[s].Load()
	if old == 0 {
		p.nanos[s].Store(int64(d))
		return
	}
	p.nanos[s].Store(old + (min(int64(d), mostRise*old)-old)/16)
}

// fits says whether the stage is likely to end, and the record to be written, in the time left. A refusal lowers the
// price a little, or a stage that was slow once would never be tried, and so never measured, again.
func (p *pace) fits(s paced, left time.Duration, cost models.Cost) bool {
	price := time.Duration(p.nanos[s].Load())
	if price == 0 {
		micros := cost.PredictMicros
		if s == paceExplain {
			micros = cost.ExplainMicros
		}
		price = time.Duration(micros * float64(time.Microsecond))
		p.nanos[s].CompareAndSwap(0, int64(price)) // the first decision, on cold memory, is a measurement like others
	}
	if safety*price+p.reserve() <= left {
		return true
	}
	if old := p.nanos[s].Load(); old > 0 {
		p.nanos[s].Store(old - old/64)
	}
	return false
}

// reserve is the time to keep for writing the record.
func (p *pace) reserve() time.Duration {
	return min(max(safety*time.Duration(p.nanos[paceRecord].Load()), leastRecord), mostRecord)
}
