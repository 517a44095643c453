package features

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"pitboss/journal"
)

// metaFillStart is from where a side sees everything.
const metaFillStart = "fill_start"

// fillStart is from where a side sees everything.
type fillStart struct {
	// since and from are as planGroup has them, from a position in the engine's journal.
	since int64
	from  journal.Pos

	// name is the Past's that was gathered, empty without one; frames is how many came of it, and first is the journal's first
	// frame then. In the side, the journal's positions are higher by frames.
	name   string
	frames uint64
	first  journal.Pos
}

func (s fillStart) encode() []byte {
	b := binary.AppendUvarint(binary.AppendVarint(nil, s.since), uint64(s.from.Partition))
	b = binary.AppendUvarint(b, s.from.Offset)
	if s.name == "" {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(s.name)))
	b = binary.AppendUvarint(append(b, s.name...), s.frames)
	b = binary.AppendUvarint(b, uint64(s.first.Partition))
	return binary.AppendUvarint(b, s.first.Offset)
}

// readFillStart gives what a side begins from; all zero where that is not settled.
func readFillStart(states States) (s fillStart, err error) {
	data, err := states.Meta(metaFillStart)
	if err != nil {
		return s, fmt.Errorf("cannot read a backfill's start: %w", err)
	}
	if data == nil {
		return s, nil
	}
	r := blobReader{rest: data}
	s.since, s.from = r.varint(), r.pos()
	if len(r.rest) > 0 {
		s.name, s.frames, s.first = string(r.bytes()), r.uvarint(), r.pos()
	}
	if err := r.end(); err != nil {
		return s, fmt.Errorf("cannot read a backfill's start: %w", err)
	}
	return s, nil
}

// fillStart settles from where a side sees everything, or finds what was settled: writing it says that all there is of a Past
// is gathered.
func (e *Engine) fillStart(ctx context.Context, states States, id uint32) (start fillStart, err error) {
	data, err := states.Meta(metaFillStart)
	if err != nil {
		return start, fmt.Errorf("cannot read a backfill's start: %w", err)
	}
	if data != nil {
		if start, err = readFillStart(states); err != nil {
			return start, err
		}
		if e.cfg.Past != nil && e.cfg.Past.Name != start.name {
			return start, errOtherFill
		}
		return start, nil
	}
	if e.cfg.Past == nil {
		start, err = e.startOfJournal(ctx)
	} else if start, err = e.gather(ctx, id); err != nil && ctx.Err() == nil {
		e.log.Error("what came before the journal cannot be gathered: new groups warm up", "error", err)
		e.fills.failed.Store(&err)
	}
	if err != nil {
		return start, err
	}
	if err := states.PutMeta(metaFillStart, start.encode()); err != nil {
		return start, fmt.Errorf("cannot note a backfill's start: %w", err)
	}
	if err := states.Sync(); err != nil {
		return start, fmt.Errorf("cannot note a backfill's start: %w", err)
	}
	return start, nil
}

// startOfJournal is where a side begins that has the journal alone. Where that is whole, it sees everything; else what came
// before its first frame is not known, and that may have been received a little later than this one.
func (e *Engine) startOfJournal(ctx context.Context) (start fillStart, err error) {
	if e.journal.Tail().Offset <= 1 {
		return start, nil
	}
	cursor, err := e.journal.Read(journal.Pos{})
	if err != nil {
		return start, fmt.Errorf("cannot read the journal: %w", err)
	}
	f, err := cursor.Next(ctx)
	if err = errors.Join(err, cursor.Close()); err != nil {
		return start, fmt.Errorf("cannot read the journal: %w", err)
	}
	start.since, start.from = f.Time+sweepSlack.Microseconds(), journal.Pos{Partition: f.Pos.Partition, Offset: f.Pos.Offset - 1}
	return start, nil
}

// inSide gives the position that a frame of the journal has in the side.
func (s fillStart) inSide(p journal.Pos) journal.Pos {
	if !p.IsZero() {
		p.Offset += s.frames
	}
	return p
}

// inJournal gives the position in the journal of one in the side. What came before it has that of the last frame before the
// journal's first; where there was none, that of the first, of which a side that is read has everything.
func (s fillStart) inJournal(p journal.Pos) journal.Pos {
	switch {
	case s.frames == 0 || p.IsZero():
		return p
	case p.Offset > s.frames:
		p.Offset -= s.frames
		return p
	}
	return journal.Pos{Partition: p.Partition, Offset: max(1, s.first.Offset-1)}
}

// bornInJournal is inJournal for the first position of an entity: who was there before the journal was there always.
func (s fillStart) bornInJournal(p journal.Pos) journal.Pos {
	if s.frames > 0 && !p.IsZero() && p.Offset <= s.frames {
		return journal.Pos{Partition: p.Partition, Offset: 1}
	}
	return s.inJournal(p)
}
