package sim

import (
	"container/heap"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
)

// Faults are what happens to events between those who tell them and pitboss. The zero value is nothing.
type Faults struct {
	// Duplicates is the share of events that are delivered twice, Late of those that come more than two minutes late, Lost
	// of those that never come, though their number of the producer's sequence is used.
	Duplicates, Late, Lost float64
	// RollbackFirst is the share of bets taken back whose rollback comes before them.
	RollbackFirst float64
	// Clock is the deviation of the producers' clocks, each off by its own amount; OneOff is how far one of them, the
	// second game server, is off besides.
	Clock, OneOff time.Duration
}

// UsualFaults are those of domain.md §5: 1 % duplicates, 2 % late, .05 % lost, clocks off by 50 ms and one by 3 s.
func UsualFaults() Faults {
	return Faults{
		Duplicates: 0.01, Late: 0.02, Lost: 0.0005, RollbackFirst: 0.2, Clock: 50 * time.Millisecond, OneOff: 3 * time.Second,
	}
}

// Validate says which fault is impossible, by its name.
func (f Faults) Validate() error {
	for _, s := range []namedShare{
		{"duplicates", f.Duplicates}, {"late", f.Late}, {"lost", f.Lost}, {"rollback_first", f.RollbackFirst},
	} {
		if !(s.value >= 0 && s.value <= 1) {
			return fmt.Errorf("faults.%s is %v: must be 0 to 1", s.name, s.value)
		}
	}
	if f.Clock < 0 || f.Clock > time.Hour {
		return fmt.Errorf("faults.clock is %s: must be 0 to 1h", f.Clock)
	}
	if f.OneOff < -time.Hour || f.OneOff > time.Hour {
		return fmt.Errorf("faults.one_off is %s: must be -1h to 1h", f.OneOff)
	}
	return nil
}

const (
	// An event is under way for wireDelay, a late one for lateAfter and lateMedian more, and nothing for longer than
	// longestWay: so what is under way is bounded by the events of that time.
	wireDelay  = 20 * millisecond
	lateAfter  = 2 * minute
	lateMedian = 3 * minute
	longestWay = 2 * hour
)

// Wire carries a casino's events with faults. It is used by one goroutine.
type Wire struct {
	sim     *Sim
	faults  Faults
	rng     stream
	offsets [producers]int64
	pending deliveries
	order   uint64
	ended   bool
}

// Delivery is an event as it arrives.
type Delivery struct {
	Event *pb.Event
	Truth Truth
	// At is when it arrives. Deliveries come in the order of it.
	At time.Time
	// Again says that it was delivered before.
	Again bool

	at    int64
	order uint64
}

// NewWire puts faults between a casino and who listens. It refuses impossible ones by name.
func NewWire(s *Sim, f Faults) (*Wire, error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("cannot simulate: %w", err)
	}
	w := &Wire{sim: s, faults: f, rng: newStream(s.cfg.Seed, purposeFaults)}
	for i := range w.offsets {
		w.offsets[i] = int64(float64(f.Clock.Microseconds()) * w.rng.normal())
	}
	w.offsets[producerGames+1] += f.OneOff.Microseconds()
	return w, nil
}

// Next gives the next delivery, in the order in which they arrive, and false after the last one.
func (w *Wire) Next() (Delivery, bool) {
	for {
		if len(w.pending) > 0 && (w.ended || w.pending[0].at <= w.sim.now) {
			d, _ := heap.Pop(&w.pending).(Delivery)
			d.At = time.UnixMicro(d.at).UTC()
			return d, true
		}
		if w.ended {
			return Delivery{}, false
		}
		ev, ok := w.sim.Next()
		if !ok {
			w.ended = true
			continue
		}
		w.send(ev)
	}
}

// send decides what becomes of an event on its way.
func (w *Wire) send(ev *pb.Event) {
	rng, f := &w.rng, &w.faults
	t := w.sim.spoken
	at := t.at + rng.micros(wireDelay, 0.8)
	late, lost, twice := rng.chance(f.Late), rng.chance(f.Lost), rng.chance(f.Duplicates)
	first, wait := rng.chance(f.RollbackFirst), rng.micros(lateMedian, 1)
	if late {
		at += lateAfter + wait
	}
	if t.takenBack && first {
		at = t.at + 5*second + wait/10 // the rollback comes some two seconds after its bet, and now before it
	}
	at = min(at, t.at+longestWay)
	if offset := w.offsets[t.producer]; offset != 0 {
		setTime(ev.OccurredAt, t.at+offset)
		ev.ClockQuality = &pb.ClockQuality{NtpOffsetUs: offset, Source: "ntp"}
	}
	again := at + rng.micros(5*second, 1)
	if lost {
		return
	}
	w.push(Delivery{Event: ev, Truth: w.sim.last, at: at})
	if twice {
		w.push(Delivery{Event: proto.CloneOf(ev), Truth: w.sim.last, at: min(again, t.at+longestWay+minute), Again: true})
	}
}

func (w *Wire) push(d Delivery) {
	w.order++
	d.order = w.order
	heap.Push(&w.pending, d)
}

// deliveries is a heap by time of arrival, then by when they were sent.
type deliveries []Delivery

func (d *deliveries) Len() int { return len(*d) }

func (d *deliveries) Less(i, j int) bool {
	a, b := &(*d)[i], &(*d)[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (d *deliveries) Swap(i, j int) { (*d)[i], (*d)[j] = (*d)[j], (*d)[i] }

func (d *deliveries) Push(x any) {
	if one, ok := x.(Delivery); ok {
		*d = append(*d, one)
	}
}

func (d *deliveries) Pop() any {
	old := *d
	n := len(old) - 1
	last := old[n]
	old[n] = Delivery{}
	*d = old[:n]
	return last
}

var _ heap.Interface = (*deliveries)(nil)
