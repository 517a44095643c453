package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// readJournal runs the events of a data directory's journal through the engine again, in the order of their frames.
func (e *evaluation) readJournal(ctx context.Context, stderr io.Writer) (err error) {
	a, err := openJournalAlone(e.flags.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	err = e.open(nil, rowsAtOnce)
	if err != nil {
		return err
	}
	read := journalRead{what: "evaluating", journal: a.journal, stderr: stderr}
	err = read.each(ctx, func(f *journal.Frame) error { return e.replayFrame(ctx, f) })
	if err != nil {
		return err
	}
	if read.erased > 0 {
		fmt.Fprintf(stderr, "%d frames of erased subjects were left out\n", read.erased)
	}
	return nil
}

// replayFrame does again what a frame did.
func (e *evaluation) replayFrame(ctx context.Context, f *journal.Frame) error {
	switch f.Kind {
	case features.FrameEvent:
		return e.replayEvent(ctx, f)
	case features.FrameErasure:
		var erased pb.ErasureFrame
		if err := proto.Unmarshal(f.Payload, &erased); err != nil {
			return fmt.Errorf("cannot decode an erasure: %w", err)
		}
		return e.engine.Erase(ctx, erased.GetTenant(), erased.GetSubject())
	case features.FramePush:
		return e.replayPush(ctx, f)
	default: // changes no window
		return nil
	}
}

// replayPush pushes again what this set has features of.
func (e *evaluation) replayPush(ctx context.Context, f *journal.Frame) error {
	var frame pb.PushFrame
	if err := proto.Unmarshal(f.Payload, &frame); err != nil {
		return fmt.Errorf("cannot decode a push: %w", err)
	}
	kind, ok := e.kinds.Get(frame.GetEntity().GetKind())
	if !ok {
		return fmt.Errorf("%q is not an entity kind of this configuration", frame.GetEntity().GetKind())
	}
	item := features.Push{Tenant: frame.GetTenant(), AsOf: frame.GetAsOfUs(), Entity: features.EntityRef{
		Key: features.MakeEntityKey(frame.GetTenant(), kind, frame.GetEntity().GetValue()), Kind: kind.Name, Alias: frame.GetEntity().GetValue(),
	}}
	for _, v := range frame.GetValues() {
		value := features.PushedValue{Key: v.GetKey(), Number: math.NaN()}
		if v.Number != nil {
			value.Number = v.GetNumber()
		}
		if e.engine.CheckPush(kind, []features.PushedValue{value}) == nil {
			item.Values = append(item.Values, value)
		}
	}
	if len(item.Values) == 0 {
		return nil
	}
	_, err := e.engine.Push(ctx, []features.Push{item})
	return err
}

func (e *evaluation) replayEvent(ctx context.Context, f *journal.Frame) error {
	var frame pb.EventFrame
	if err := proto.Unmarshal(f.Payload, &frame); err != nil {
		return fmt.Errorf("cannot decode an event: %w", err)
	}
	ev := &e.ev
	if err := features.Decode(e.kinds, frame.GetEvent(), ev); err != nil {
		return err
	}
	if !e.until.IsZero() && ev.OccurredAt >= e.until.UnixMicro() {
		return nil
	}
	slot, err := e.engine.Admit(ctx, ev)
	if err != nil {
		return err
	}
	defer slot.Release()
	decided, again := frame.GetDecision() != nil, frame.GetAppliedAt() != nil
	if decided && e.flags.decided || !e.flags.decided && !again {
		if err := e.vector(ctx, slot, 0, ev, nil); err != nil {
			return err
		}
	}
	var decision *pb.DecisionRecord
	if decided { // what was blocked did not take place
		decision = &pb.DecisionRecord{Outputs: &pb.Outputs{Outcome: frame.GetDecision().GetOutputs().GetOutcome()}}
	}
	return e.apply(ctx, slot, ev, decision)
}

// openJournalAlone opens a data directory's journal and nothing else of it.
func openJournalAlone(config string) (*app, error) {
	cfg, err := LoadConfig(config)
	if err != nil {
		return nil, err
	}
	return openJournalOf(cfg)
}

// openJournalOf is openJournalAlone for who has read the configuration. Who only reads makes no data directory.
func openJournalOf(cfg *Config) (*app, error) {
	if err := cfg.needData(); err != nil {
		return nil, err
	}
	a := &app{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	if err := a.openJournal(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// journalRead is one way through all frames of a journal, as far as it went when the reading began.
type journalRead struct {
	what    string
	journal journal.Journal
	stderr  io.Writer
	// erased counts the frames that nobody can read any more.
	erased uint64
	frames uint64
}

// each calls do with every frame that can be read.
func (r *journalRead) each(ctx context.Context, do func(*journal.Frame) error) (err error) {
	head, tail := r.journal.Head(), r.journal.Tail()
	cursor, err := r.journal.Read(journal.Pos{})
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	bar := newProgress(r.stderr, r.what, int64(head.Offset-tail.Offset)+1, unitFrames)
	for {
		f, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) || err == nil && head.Less(f.Pos) {
			bar.finish()
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the journal: %w", err)
		}
		r.frames++
		if f.Erased {
			r.erased++
		} else if err := do(&f); err != nil {
			return fmt.Errorf("frame %v: %w", f.Pos, err)
		}
		bar.set(int64(r.frames), r.frames)
	}
}
