package features

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// ServedSet is a feature set that decisions in a journal name.
type ServedSet struct {
	// Hash is the set's; BundleHash is of the first bundle that decided with it, empty where none did.
	Hash, BundleHash []byte
	// Decisions counts the vectors.
	Decisions uint64

	// warming has, by feature, the last record that says warming_up, and clean the first one after it that says neither that
	// nor what is said before it.
	warming, clean []journal.Pos
}

// ServedSets reads a journal through, and gives the feature sets that its decisions name, in the order of their first.
// progress, which may be nil, is told the frames that were read.
func ServedSets(ctx context.Context, j journal.Journal, progress func(frames uint64)) (sets []*ServedSet, err error) {
	head := j.Head()
	cursor, err := j.Read(journal.Pos{})
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	byHash := map[string]*ServedSet{}
	for frames := uint64(1); ; frames++ {
		f, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) || err == nil && head.Less(f.Pos) {
			return sets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the journal: %w", err)
		}
		if progress != nil {
			progress(frames)
		}
		if f.Kind != FrameEvent || f.Erased {
			continue
		}
		var frame pb.EventFrame
		if err := proto.Unmarshal(f.Payload, &frame); err != nil {
			return nil, fmt.Errorf("cannot decode frame %v: %w", f.Pos, err)
		}
		in := frame.GetDecision().GetInputs()
		if len(in.GetVector()) == 0 {
			continue
		}
		s, ok := byHash[string(in.GetFeatureSetHash())]
		if !ok {
			s = &ServedSet{Hash: in.GetFeatureSetHash(), BundleHash: in.GetBundleHash()}
			byHash[string(s.Hash)], sets = s, append(sets, s)
		}
		s.note(f.Pos, in)
	}
}

func (s *ServedSet) note(pos journal.Pos, in *pb.Inputs) {
	s.Decisions++
	for i, b := range in.GetStatuses() {
		if i == len(s.warming) {
			s.warming, s.clean = append(s.warming, journal.Pos{}), append(s.clean, journal.Pos{})
		}
		switch status := Status(b); {
		case status == WarmingUp:
			s.warming[i], s.clean[i] = pos, journal.Pos{}
		case s.clean[i].IsZero() && !s.warming[i].IsZero() && !hidesWarming(status):
			s.clean[i] = pos
		}
	}
}

// hidesWarming says that a value may be warming up without saying so: these are said first.
func hidesWarming(s Status) bool { return s == Late || s == CorrectionMissed }

// warmsUntil is the first record of which it is known that no group warms up any more; zero where none ever did.
func (s *ServedSet) warmsUntil() (until journal.Pos) {
	for i, pos := range s.warming {
		switch {
		case pos.IsZero():
		case s.clean[i].IsZero():
			return journal.Pos{Partition: pos.Partition, Offset: math.MaxUint64}
		case until.Less(s.clean[i]):
			until = s.clean[i]
		}
	}
	return until
}
