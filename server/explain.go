package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// defaultNewest is how many tiles and events of a feature are given unless a call says more, maxNewest what it may say.
const defaultNewest, maxNewest = 20, 10_000

func newestRule() string { return fmt.Sprintf("must be 0 to %d; 0 is %d", maxNewest, defaultNewest) }

// explainEntityFeatures reads an entity's features, and what they were made of.
func (c *calls) explainEntityFeatures(
	ctx context.Context, p *Principal, req *pb.ExplainEntityFeaturesRequest, arrived time.Time,
) (*pb.ExplainEntityFeaturesResponse, error) {
	newest := int(req.GetNewest())
	if newest > maxNewest {
		return nil, refuse(kindInvalid, string(edge.InvalidField), "newest", newestRule())
	}
	if newest == 0 {
		newest = defaultNewest
	}
	r, err := c.reading(p, req.GetTenant(), req.GetEntity(), req.GetAt(), arrived)
	if err != nil {
		return nil, err
	}
	for i, name := range req.GetFeatures() {
		if !slices.ContainsFunc(r.set.Features, func(f features.FeatureInfo) bool { return f.Name == name && explainable(&f, r.ref.Kind) }) {
			return nil, refuse(kindNotFound, "NO_SUCH_FEATURE", fmt.Sprintf("features[%d]", i),
				"the feature set that is served has no such feature of this kind: "+edge.PathName(name))
		}
	}
	var vec features.Vector
	explained, err := c.deps.Features.Explain(ctx, r.set, r.ref, r.at.UnixMicro(), &vec)
	if err != nil {
		return nil, fmt.Errorf("cannot explain features: %w", err)
	}
	return ExplainedFeatures(c.identifier(r.ref), r.set, &vec, explained, req.GetFeatures(), newest), nil
}

// explainable says whether a feature can be told of an entity of a kind alone: it is the kind's, or made of others.
func explainable(f *features.FeatureInfo, kind string) bool {
	return f.Kind == kind || f.Aggregate == "ratio" || f.Aggregate == "cel"
}

// ExplainedFeatures lists the features that can be told of an entity, those of names where there are any, with the newest
// tiles and events of each.
func ExplainedFeatures(
	id *pb.Identifier, set *features.Set, vec *features.Vector, explained []features.Explanation, names []string, newest int,
) *pb.ExplainEntityFeaturesResponse {
	read := entityFeatures(id, set, vec)
	out := &pb.ExplainEntityFeaturesResponse{
		Entity: id, FeaturesAsOf: read.FeaturesAsOf, Position: read.Position, NewestEvent: read.NewestEvent, AgeMs: read.AgeMs,
		Watermark: read.Watermark, ConsumerLag: read.ConsumerLag,
		FeatureSet: set.Name, FeatureSetVersion: set.Version, FeatureSetHash: hex.EncodeToString(set.Hash[:]),
	}
	for i, info := range set.Features {
		if !explainable(&info, id.GetKind()) || len(names) > 0 && !slices.Contains(names, info.Name) {
			continue
		}
		one := &pb.FeatureExplanation{
			Name: info.Name, Status: vec.Status[i].String(), Aggregate: info.Aggregate, Group: info.Group, Window: info.Window, Expression: info.Expression,
		}
		if v := vec.Values[i]; !math.IsNaN(v) {
			one.Value = &v
		}
		for j := range vec.Sourced {
			if s := &vec.Sourced[j]; s.Feature == i && s.AsOf != 0 {
				one.PushedFor = timestamppb.New(time.UnixMicro(s.AsOf))
			}
		}
		if at := slices.IndexFunc(explained, func(x features.Explanation) bool { return x.Feature == i }); at >= 0 {
			explainFeature(one, &explained[at], newest)
		}
		out.Features = append(out.Features, one)
	}
	return out
}

// explainFeature adds what a value was made of, the newest first.
func explainFeature(to *pb.FeatureExplanation, x *features.Explanation, newest int) {
	if x.To != 0 {
		to.WindowFrom, to.WindowTo, to.Exact = timestamppb.New(time.UnixMicro(x.From)), timestamppb.New(time.UnixMicro(x.To)), x.Exact
	}
	to.SumOf = x.SumOf
	to.AllTiles, to.AllEvents = uint32(len(x.Tiles)), uint32(len(x.Events))
	for i := len(x.Tiles) - 1; i >= 0 && len(to.Tiles) < newest; i-- {
		t := &x.Tiles[i]
		tile := &pb.ExplainedTile{From: timestamppb.New(time.Unix(t.From, 0)), Seconds: uint32(t.To - t.From), Count: t.Count}
		if x.SumOf != "" {
			tile.Sum, tile.WithValue = &t.Sum, &t.WithValue
		}
		to.Tiles = append(to.Tiles, tile)
	}
	for i := len(x.Events) - 1; i >= 0 && len(to.Events) < newest; i-- {
		ev := &x.Events[i]
		to.Events = append(to.Events, &pb.ExplainedEvent{
			At: timestamppb.New(time.UnixMicro(ev.At)), DecisionIdPrefix: hex.EncodeToString(ev.Key[:]), Void: ev.Void,
		})
	}
}
