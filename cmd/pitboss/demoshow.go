package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
	"pitboss/sim"
)

// demo drives the casino: what a game engine would ask about goes to Decide, the rest to Kafka; and it shows the answers.
type demo struct {
	out     io.Writer
	key     string
	flags   demoFlags
	cfg     sim.Config
	began   time.Time
	brokers []string

	client pb.DecisionServiceClient
	limit  chan struct{}
	asked  sync.WaitGroup

	mu sync.Mutex // guards tally, rows and shown
	tally
	rows  int
	shown time.Time
}

// tally is what the demo counts.
type tally struct {
	events, decisions, failed, degraded uint64
	outcomes                            [pb.Outcome_OUTCOME_BLOCK + 1]uint64
	summary                             demoSummary
	latency                             *hdrhistogram.Histogram // microseconds
	firstErr                            error
}

const (
	demoUnderWay   = 64
	demoRowEvery   = 200 * time.Millisecond
	demoAllowEvery = time.Second
	demoReasons    = 4
	demoStatsEvery = 5 * time.Second
)

// asks are the events that the demo's game engine asks about.
func asks(eventType string) bool {
	switch eventType {
	case "bet.placed", "payment.deposit_requested", "payment.withdrawal_requested", "account.registered", "bonus.granted":
		return true
	}
	return false
}

func (d *demo) run(ctx context.Context, l server.Listeners) (err error) {
	conn, err := dial(l.GRPC.Addr().String(), d.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeConn(conn)) }()
	// What was sent before Ctrl-C arrives: the sink does not end with ctx.
	kafka, err := newKafkaSink(context.WithoutCancel(ctx), d.brokers, "pitboss.events")
	if err != nil {
		return err
	}
	casino, err := sim.New(d.cfg)
	if err != nil {
		return err
	}
	d.client, d.limit = pb.NewDecisionServiceClient(conn), make(chan struct{}, demoUnderWay)
	d.latency = hdrhistogram.New(1, 10_000_000, 3)
	d.greet(l)
	stats := time.NewTicker(demoStatsEvery)
	defer stats.Stop()
	began := time.Now()
	for i := uint64(0); i < d.flags.events || d.flags.events == 0; i++ {
		ev, ok := casino.Next()
		if !ok {
			break
		}
		// As fast as asked for while in the past, in real time from now on.
		due := began.Add(time.Duration(float64(i) / d.flags.rate * float64(time.Second)))
		if at := ev.GetOccurredAt().AsTime(); at.After(due) {
			due = at
		}
		if !d.wait(ctx, due, stats.C) {
			break
		}
		if err := d.send(ctx, kafka, ev, casino.Truth()); err != nil {
			return errors.Join(err, kafka.close())
		}
	}
	d.asked.Wait()
	return kafka.close()
}

// wait waits until an event is due, shows the figures meanwhile, and says whether to go on.
func (d *demo) wait(ctx context.Context, due time.Time, stats <-chan time.Time) bool {
	for {
		left := time.Until(due)
		select {
		case <-stats:
			d.showStats()
			continue
		default:
		}
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-stats:
			timer.Stop()
			d.showStats()
		case <-timer.C:
			return ctx.Err() == nil
		}
	}
}

func (d *demo) send(ctx context.Context, kafka *kafkaSink, ev *pb.Event, truth sim.Truth) error {
	d.mu.Lock()
	d.events++
	d.mu.Unlock()
	if !asks(ev.GetType()) {
		return kafka.write(ev)
	}
	d.limit <- struct{}{}
	d.asked.Go(func() {
		sent := time.Now()
		answer, err := d.client.Decide(context.WithoutCancel(ctx), &pb.DecisionRequest{Event: ev})
		took := time.Since(sent)
		<-d.limit
		d.mu.Lock()
		defer d.mu.Unlock()
		d.count(answer, truth, took, err)
		if err == nil {
			d.show(ev, answer, truth, took)
		}
	})
	return nil
}

// count is called with mu held.
func (d *demo) count(answer *pb.Decision, truth sim.Truth, took time.Duration, err error) {
	if err != nil {
		d.failed++
		if d.firstErr == nil {
			d.firstErr = err
		}
		return
	}
	d.decisions++
	_ = d.latency.RecordValue(max(took.Microseconds(), 1)) // beyond ten seconds the histogram's end is bad enough
	d.outcomes[answer.GetOutcome()]++
	if len(answer.GetDegraded()) > 0 {
		d.degraded++
	}
	d.summary.count(answer.GetOutcome(), truth)
}

// show prints a row of the table: some of the decisions that stop somebody, fewer of the others. It is called with mu held.
func (d *demo) show(ev *pb.Event, answer *pb.Decision, truth sim.Truth, took time.Duration) {
	every := demoRowEvery
	if answer.GetOutcome() == pb.Outcome_OUTCOME_ALLOW {
		every = demoAllowEvery
	}
	if time.Since(d.shown) < every {
		return
	}
	d.shown = time.Now()
	if d.rows%20 == 0 {
		fmt.Fprintf(d.out, "\n%-8s  %-28s  %-9s  %5s  %6s  %-17s  %s\n", "time", "event", "outcome", "score", "us", "truth (simulated)", "reasons")
	}
	d.rows++
	score := "-"
	if answer.Score != nil {
		score = fmt.Sprintf("%.3f", answer.GetScore())
	}
	var reasons []string
	for _, r := range answer.GetReasons()[:min(len(answer.GetReasons()), demoReasons)] {
		reasons = append(reasons, fmt.Sprintf("%s %+.2f", r.GetCode(), r.GetContribution()))
	}
	fmt.Fprintf(d.out, "%-8s  %-28s  %-9s  %5s  %6d  %-17s  %s\n", ev.GetOccurredAt().AsTime().Format("15:04:05"), ev.GetType(),
		outcomeName(answer.GetOutcome()), score, took.Microseconds(), truth.Typology, strings.Join(reasons, ", "))
}

func (d *demo) showStats() {
	d.mu.Lock()
	defer d.mu.Unlock()
	seconds := time.Since(d.began).Seconds()
	fmt.Fprintf(d.out, "-- %d events, %d decisions in %.0f s | Decide p50 %v p95 %v p99 %v | allow %d challenge %d limit %d hold %d block %d | degraded %d, failed %d\n",
		d.events, d.decisions, seconds, d.at(50), d.at(95), d.at(99), d.outcomes[pb.Outcome_OUTCOME_ALLOW],
		d.outcomes[pb.Outcome_OUTCOME_CHALLENGE], d.outcomes[pb.Outcome_OUTCOME_LIMIT], d.outcomes[pb.Outcome_OUTCOME_HOLD],
		d.outcomes[pb.Outcome_OUTCOME_BLOCK], d.degraded, d.failed)
	if d.firstErr != nil {
		fmt.Fprintf(d.out, "-- first failure: %v\n", d.firstErr)
		d.firstErr = nil
	}
}

func (d *demo) at(quantile float64) time.Duration {
	return time.Duration(d.latency.ValueAtQuantile(quantile)) * time.Microsecond
}

// greet prints how to ask for a decision oneself. It is up after that line.
func (d *demo) greet(l server.Listeners) {
	now := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	fmt.Fprintf(d.out, `pitboss demo: everything you see is simulated. Up after %v. Ctrl-C ends it.
  JSON     http://%s      gRPC %s      metrics http://%s/metrics
  API key  %s
Ask for a decision yourself (again with the same event_id: the same decision):

curl -s http://%s/v1/decisions -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"event": {
  "event_id": "my-first", "type": "bet.placed", "tenant": "demo", "occurred_at": "%s",
  "entities": [{"kind": "player", "value": "me", "form": "FORM_RAW"}, {"kind": "ip", "value": "203.0.113.7", "form": "FORM_RAW"}],
  "bet_placed": {"amount": {"amount_minor": "250", "currency": "EUR"}}}}'

`, time.Since(d.began).Round(time.Millisecond), l.HTTP.Addr(), l.GRPC.Addr(), l.HTTP.Addr(), d.key, l.HTTP.Addr(), d.key, now)
}

// goodbye sums up what was seen.
func (d *demo) goodbye() {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, "\n%d events, %d decisions, Decide p50 %v p95 %v p99 %v, %d degraded, %d failed.\n", d.events, d.decisions, d.at(50), d.at(95),
		d.at(99), d.degraded, d.failed)
	d.summary.write(d.out)
	if d.flags.dir != "" {
		fmt.Fprintf(d.out, "Kept in %s. Make every decision again: pitboss replay --config %s%cpitboss.yaml --all\n", d.flags.dir, d.flags.dir, os.PathSeparator)
	}
}

func closeConn(conn *grpc.ClientConn) error {
	if err := conn.Close(); err != nil {
		return fmt.Errorf("cannot close the connection: %w", err)
	}
	return nil
}
