package audit_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"pitboss/audit"
	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// FuzzReplay holds that no record panics, whatever somebody wrote into the journal's directory, and that what replays
// is a record whose outputs are really its own.
func FuzzReplay(f *testing.F) {
	kinds, err := features.NewKinds(nil)
	if err != nil {
		f.Fatal(err)
	}
	reg, err := registry.Open(registry.Config{Kinds: kinds})
	if err != nil {
		f.Fatal(err)
	}
	_, err = reg.Use("testdata/v1/bundle")
	if err != nil {
		f.Fatal(err)
	}
	a, err := audit.New(audit.Config{Journal: journal.NewMemory(journal.MemoryConfig{}), Registry: reg, Kinds: kinds})
	if err != nil {
		f.Fatal(err)
	}
	for _, frame := range readRecords(f, "testdata/v1/records.bin") {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(protowire.AppendTag(nil, 4, protowire.BytesType))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame := &pb.EventFrame{}
		if err := proto.Unmarshal(data, frame); err != nil {
			return
		}
		result, err := a.Replay(t.Context(), frame)
		if err != nil || !result.Same {
			return
		}
		// Made again from scratch it must be the same once more.
		again, err := a.Replay(t.Context(), proto.CloneOf(frame))
		if err != nil || !again.Same || !bytes.Equal([]byte(again.DecisionID), []byte(result.DecisionID)) {
			t.Errorf("replayed once and not twice: %+v, %v", again, err)
		}
	})
}
