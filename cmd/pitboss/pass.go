package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
)

// acceptor is the edge, or what stands for it.
type acceptor interface {
	Accept(msg *pb.Event, receivedAt time.Time, dst *features.Event) error
}

// pass is one way through a file of events, in event time: eval, batch and ingest differ in what they do with each.
type pass struct {
	what   string
	source string
	mapFor string
	sort   bool
	// arrived keeps the file's order, whatever the times; an event then comes in at the newest time so far.
	arrived bool
	// shuffle permutes the rows first, unless nil.
	shuffle *uint64
	edge    acceptor
	stderr  io.Writer
	// each is called with every accepted event; the row is good until it returns. An error ends the pass.
	each func(ctx context.Context, row *files.Row, ev *features.Event) error
	// opened is called when the file is open; nil for nothing.
	opened func(*files.Events) error
	// live takes now as the time that events come in; else each came in when it happened.
	live bool
	// from and until bound occurred_at: the first is inside, the second is not. Zero is no bound.
	from, until time.Time

	events *files.Events
	res    passResult
}

// between sets the bounds on occurred_at from flags.
func (p *pass) between(from, before string) error {
	return readTimes(timeFlag{"--from", from, &p.from}, timeFlag{"--before", before, &p.until})
}

// timeFlag is a flag that takes a time, and where that goes.
type timeFlag struct {
	name, text string
	to         *time.Time
}

// readTimes reads flags that take times; one that was not given leaves its time as it is.
func readTimes(flags ...timeFlag) error {
	for _, f := range flags {
		if f.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, f.text)
		if err != nil {
			return &codedError{exitUsage, fmt.Errorf("%s: %q is no time, such as 2026-11-22T00:00:00Z", f.name, f.text)}
		}
		*f.to = t
	}
	return nil
}

// wanted says whether an event lies within the bounds.
func (p *pass) wanted(msg *pb.Event) bool {
	at := msg.GetOccurredAt().AsTime()
	return (p.from.IsZero() || !at.Before(p.from)) && (p.until.IsZero() || at.Before(p.until))
}

// passResult says what became of a file.
type passResult struct {
	rows, events, labels, rejected uint64
	// reasons counts rejects by place and reason.
	reasons map[string]uint64
	took    time.Duration
}

// rejectedError says that the pass went through and some of its input was refused.
func (r *passResult) err() error {
	if r.rejected == 0 {
		return nil
	}
	return &codedError{exitRejected, fmt.Errorf("%d of %d rows or labels were rejected, see above", r.rejected, r.rows)}
}

const (
	shownRejects = 20
	// parts is what a pass counts the file in.
	parts = 1_000_000
)

// open opens the file and reads its map. Whoever calls it closes the pass; it comes before anything is made that the
// events would go to.
func (p *pass) open() (err error) {
	p.res = passResult{reasons: map[string]uint64{}}
	p.events, err = files.OpenEvents(p.source, p.mapFor, files.Options{
		Sort: p.sort, AsArrived: p.arrived, Shuffle: p.shuffle,
		OnReject: func(r files.Reject) { p.reject(r.Column, r.Reason, r.String()) },
	})
	return err
}

func (p *pass) close() error { return p.events.Close() }

func (p *pass) reject(place, reason, text string) {
	p.res.rejected++
	p.res.reasons[strings.TrimSpace(place+" "+reason)]++
	if p.res.rejected <= shownRejects {
		fmt.Fprintf(p.stderr, "rejected: %s: %s\n", p.source, text)
	}
}

// run passes every event of the open file.
func (p *pass) run(ctx context.Context) (*passResult, error) {
	res, events := &p.res, p.events
	began := time.Now()
	if p.opened != nil {
		if err := p.opened(events); err != nil {
			return nil, err
		}
	}
	total := int64(parts)
	if p.sort && !p.arrived || p.shuffle != nil {
		total = 0 // the file is read to its end before the first event comes: how far that is says nothing
	}
	bar := newProgress(p.stderr, p.what, total, unitRows)
	var ev features.Event
	var newest time.Time
	for ctx.Err() == nil {
		row, err := events.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if !p.wanted(row.Event) {
			continue
		}
		receivedAt := row.ReceivedAt()
		switch {
		case p.live:
			receivedAt = time.Now()
		case p.arrived:
			if newest.Before(receivedAt) {
				newest = receivedAt
			}
			receivedAt = newest
		}
		if done, err := p.one(ctx, row, receivedAt, &ev); err != nil {
			return nil, err
		} else if !done {
			continue
		}
		if row.Label {
			res.labels++
		} else {
			res.events++
		}
		if (res.events+res.labels)%256 == 0 {
			bar.set(int64(events.Progress().Fraction()*parts), res.events+res.labels)
		}
	}
	progress := events.Progress()
	res.rows, res.took = uint64(progress.Rows), time.Since(began)
	bar.events = res.events + res.labels
	bar.finish()
	p.summary(res)
	return res, ctx.Err()
}

// one accepts a row's event and does with it what is to be done; done is false where the row was rejected.
func (p *pass) one(ctx context.Context, row *files.Row, receivedAt time.Time, ev *features.Event) (done bool, err error) {
	err = p.edge.Accept(row.Event, receivedAt, ev)
	var refused *edge.Error
	switch {
	case errors.As(err, &refused):
		p.reject(refused.Path, string(refused.Reason), fmt.Sprintf("row %d: %v", row.Number, refused))
		return false, nil
	case err != nil:
		return false, err
	}
	err = p.each(ctx, row, ev)
	var rowErr *rowError
	switch {
	case errors.As(err, &rowErr):
		p.reject("", rowErr.reason, fmt.Sprintf("row %d: %v", row.Number, rowErr.err))
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: row %d: %w", p.source, row.Number, err)
	}
	return true, nil
}

// rowError refuses one row and not the pass.
type rowError struct {
	reason string
	err    error
}

func (e *rowError) Error() string { return e.err.Error() }

func (p *pass) summary(res *passResult) {
	fmt.Fprintf(p.stderr, "%s: %d rows: %d events, %d labels, %d rejected, in %v\n", p.what, res.rows, res.events, res.labels,
		res.rejected, res.took.Round(time.Millisecond))
	for _, reason := range slices.Sorted(maps.Keys(res.reasons)) {
		fmt.Fprintf(p.stderr, "  %8d  %s\n", res.reasons[reason], reason)
	}
}

// looseEdge accepts events of any tenant: for evaluating a feature set where there is no configuration. Its keys are the
// same every time and nothing of it is stored, so that the same file gives the same vectors.
type looseEdge struct {
	kinds    *features.Kinds
	currency string
	tenants  map[string]*edge.Edge
}

const maxLooseTenants = 1000

func (l *looseEdge) Accept(msg *pb.Event, receivedAt time.Time, dst *features.Event) error {
	tenant := msg.GetTenant()
	e, ok := l.tenants[tenant]
	if !ok {
		if len(l.tenants) >= maxLooseTenants {
			return fmt.Errorf("more than %d tenants in one file: give a configuration", maxLooseTenants)
		}
		cfg := edge.DefaultConfig()
		// An unusable tenant is refused by the first edge there is, with the field's path.
		name := tenant
		if name == "" || len(name) > edge.MaxText {
			name = "default"
		}
		keys, err := looseKeys(name)
		if err != nil {
			return &edge.Error{Reason: edge.InvalidField, Path: "event.tenant", Message: "not a tenant's name"}
		}
		cfg.Tenants = map[string]edge.TenantConfig{name: {BaseCurrency: l.currency}}
		cfg.Kinds, cfg.Keys, cfg.History = l.kinds, keys, true
		if e, err = edge.New(cfg); err != nil {
			return fmt.Errorf("cannot accept events of tenant %q: %w", tenant, err)
		}
		l.tenants[tenant] = e
	}
	return e.Accept(msg, receivedAt, dst)
}

// looseKeys gives a tenant the key that nothing secret hangs on.
func looseKeys(tenant string) (*edge.Keys, error) {
	text := fmt.Sprintf(`{"format": 1, "tenants": {%q: {"keys": [{"id": "k1", "secret": %q, "active": true}]}}}`, tenant, strings.Repeat("00", 32))
	return edge.ParseKeys([]byte(text), "the evaluation's own keys")
}

// maxSmallFile bounds what is read whole into memory, in bytes: a configuration, a feature set, a map, an event.
const maxSmallFile = 1 << 20

// readBounded reads a small file.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", path, err)
	}
	if len(data) > maxSmallFile {
		return nil, fmt.Errorf("%q has more than %d bytes", path, maxSmallFile)
	}
	return data, nil
}
