package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// dial connects to a server on this machine; every call carries the key.
func dial(addr, key string) (*grpc.ClientConn, error) {
	auth := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return call(auth(ctx), method, req, reply, cc, opts...)
		}))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %q: %w", addr, err)
	}
	return conn, nil
}

// loadResult is what one run of the generator measured.
type loadResult struct {
	sent, failed, degraded, late uint64
	took                         time.Duration
	latency                      *hdrhistogram.Histogram // microseconds, from the time that a request was due
	began                        *hdrhistogram.Histogram // microseconds, from there until the call began: the generator's own share
	outcomes                     map[pb.Outcome]uint64
	firstErr                     error
}

func (r *loadResult) rate() float64 { return float64(r.sent) / r.took.Seconds() }

func (r *loadResult) quantile(q float64) time.Duration { return quantile(r.latency, q) }

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond
}

// decideLoad sends requests at a constant rate, each at its own time whatever became of those before (open loop), and
// takes latency from the time that a request was due: no coordinated omission.
type decideLoad struct {
	client pb.DecisionServiceClient
	rate   float64
	// spare bounds the requests under way; a request that finds none free is late, and counted.
	spare chan struct{}
	next  func() *pb.Event
}

const (
	maxUnderWay = 4096
	// maxStock bounds the events made up before a run: about 2 KB each.
	maxStock = 100_000
	// generatorGC is how much garbage, in percent of what lives, the generator makes before it collects: its collections
	// take both cores from the server that it measures.
	generatorGC = 400
)

func newDecideLoad(conn *grpc.ClientConn, rate float64, next func() *pb.Event) *decideLoad {
	return &decideLoad{client: pb.NewDecisionServiceClient(conn), rate: rate, spare: make(chan struct{}, maxUnderWay), next: next}
}

func (l *decideLoad) run(ctx context.Context, d time.Duration) *loadResult {
	res := &loadResult{
		latency: hdrhistogram.New(1, 60_000_000, 3), began: hdrhistogram.New(1, 60_000_000, 3), outcomes: map[pb.Outcome]uint64{},
	}
	var mu sync.Mutex // guards res
	var wg sync.WaitGroup
	n := int(l.rate * d.Seconds())
	defer debug.SetGCPercent(debug.SetGCPercent(generatorGC))
	stock := l.stock(n)
	defer startPacing()()
	began := time.Now()
	for i := range n {
		ev := take(stock, i, l.next)
		due := began.Add(time.Duration(float64(i) / l.rate * float64(time.Second)))
		if !paceUntil(ctx, due) {
			break
		}
		select {
		case l.spare <- struct{}{}:
		default:
			mu.Lock()
			res.late++
			mu.Unlock()
			l.spare <- struct{}{}
		}
		wg.Go(func() {
			waited := time.Since(due)
			ev.OccurredAt = timestamppb.Now()
			answer, err := l.client.Decide(ctx, &pb.DecisionRequest{Event: ev})
			took := time.Since(due)
			<-l.spare
			mu.Lock()
			defer mu.Unlock()
			_ = res.began.RecordValue(max(waited.Microseconds(), 1))
			res.add(answer, took, err)
		})
	}
	wg.Wait()
	res.took = time.Since(began)
	return res
}

// stock makes up the events of a run before it: neither that nor collecting the garbage of it is part of the load.
func (l *decideLoad) stock(n int) []*pb.Event {
	stock := make([]*pb.Event, min(n, maxStock))
	for i := range stock {
		stock[i] = l.next()
	}
	runtime.GC()
	return stock
}

// take gives the i-th event, which a run longer than its stock makes up before it is due.
func take(stock []*pb.Event, i int, next func() *pb.Event) *pb.Event {
	if i >= len(stock) {
		return next()
	}
	ev := stock[i]
	stock[i] = nil
	return ev
}

// add counts one answer. It is called under the run's lock.
func (r *loadResult) add(answer *pb.Decision, took time.Duration, err error) {
	r.sent++
	_ = r.latency.RecordValue(max(took.Microseconds(), 1)) // above a minute: the histogram's end is bad enough
	if err != nil {
		r.failed++
		if r.firstErr == nil {
			r.firstErr = err
		}
		return
	}
	if len(answer.GetDegraded()) > 0 {
		r.degraded++
	}
	r.outcomes[answer.GetOutcome()]++
}

// casinoEvents gives the events of a simulated casino for ever, as if they happened now: in the casino's order, with ids
// of their own per generator.
type casinoEvents struct {
	mu     sync.Mutex // guards casino, epoch, players
	cfg    sim.Config
	casino *sim.Sim
	epoch  int
	// players are those of the events given so far.
	players map[string]struct{}
	prefix  string
	seq     atomic.Uint64
	keep    func(*pb.Event) bool
}

func newCasinoEvents(cfg sim.Config, prefix string, keep func(*pb.Event) bool) (*casinoEvents, error) {
	casino, err := sim.New(cfg)
	if err != nil {
		return nil, err
	}
	return &casinoEvents{cfg: cfg, casino: casino, prefix: prefix, keep: keep, players: map[string]struct{}{}}, nil
}

func (c *casinoEvents) next() *pb.Event {
	c.mu.Lock()
	ev := c.draw()
	c.mu.Unlock()
	ev.EventId = fmt.Sprintf("%s-%d", c.prefix, c.seq.Add(1))
	ev.OccurredAt = timestamppb.Now()
	if ev.GetTransactionId() != "" {
		ev.TransactionId = ev.GetEventId()
	}
	return ev
}

// active counts the players of the events given so far.
func (c *casinoEvents) active() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.players)
}

// draw gives the next event that is wanted; a casino that has closed is opened again with another seed.
func (c *casinoEvents) draw() *pb.Event {
	for {
		ev, ok := c.casino.Next()
		switch {
		case !ok:
			c.epoch++
			cfg := c.cfg
			cfg.Seed += uint64(c.epoch)
			casino, err := sim.New(cfg)
			if err != nil {
				panic("BUG: a casino that opened once does not open again: " + err.Error())
			}
			c.casino = casino
		case c.keep == nil || c.keep(ev):
			c.players[string(sim.Key(ev))] = struct{}{}
			return ev
		}
	}
}
