package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// maxRowEntities bounds the entities of one row, as those of an event.
const maxRowEntities = 32

// wanted is which features of a set are asked for, by their places.
type wanted struct {
	set    *features.Set
	places []int
}

// feature finds a feature by its name.
func (w *wanted) feature(name string) int {
	return slices.IndexFunc(w.set.Features, func(f features.FeatureInfo) bool { return f.Name == name })
}

// want finds the features that a call names, or whose service it names.
func (c *calls) want(names []string, service string) (*wanted, error) {
	set, err := c.deps.Features.FeatureSet()
	if err != nil {
		return nil, err //nolint:wrapcheck // an error of the table in errors.go
	}
	w := &wanted{set: set}
	path := "features"
	switch list, configured := c.cfg.FeatureServices[service]; {
	case (len(names) > 0) == (service != ""):
		return nil, refuse(kindInvalid, string(edge.InvalidField), path, "name either features or a feature_service")
	case service != "" && configured:
		names, path = list, "feature_service"
	case service != "" && service == set.Name:
		for i := range set.Features {
			w.places = append(w.places, i)
		}
		return w, nil
	case service != "":
		return nil, refuse(kindNotFound, "NO_SUCH_FEATURE_SERVICE", "feature_service", "no feature service of this name is configured")
	}
	for i, name := range names {
		place := w.feature(name)
		if place < 0 {
			if path == "features" {
				path = fmt.Sprintf("features[%d]", i)
			}
			return nil, refuse(kindNotFound, "NO_SUCH_FEATURE", path, "the feature set that is served has no such feature: "+edge.PathName(name))
		}
		w.places = append(w.places, place)
	}
	return w, nil
}

// bounded holds a call against what one caller may cost.
func (c *calls) bounded(rows, values int) error {
	if most := c.cfg.Limits.FeatureRows; rows < 1 || rows > most {
		return refuse(kindInvalid, string(edge.InvalidField), "rows", fmt.Sprintf("%d rows; 1 to %d can be asked for", rows, most))
	}
	if most := c.cfg.Limits.FeatureValues; rows*values > most {
		return refuse(kindTooLarge, "TOO_LARGE", "rows", fmt.Sprintf("%d rows of %d features are more than %d values", rows, values, most))
	}
	return nil
}

// servedRow is one row as it was read.
type servedRow struct {
	refs []features.EntityRef
	vec  features.Vector
}

// read reads a row; its entities are each of another kind.
func (c *calls) read(ctx context.Context, w *wanted, at time.Time, row *servedRow) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.deps.Features.Features(ctx, w.set, row.refs, at.UnixMicro(), &row.vec); err != nil {
		return fmt.Errorf("cannot read features: %w", err)
	}
	if n := len(w.set.Features); len(row.vec.Values) != n || len(row.vec.Status) != n {
		return fmt.Errorf("BUG: a vector of %d values for a set of %d", len(row.vec.Values), n)
	}
	return nil
}

// pin gives the state that an entity of the row was read from, nil where none was.
func (r *servedRow) pin(entity int) *features.Pin {
	for i := range r.vec.Pins {
		if r.vec.Pins[i].Entity == entity && !r.vec.Pins[i].Pos.IsZero() {
			return &r.vec.Pins[i]
		}
	}
	return nil
}

// known says whether the entity that a feature is of was ever seen. A feature over others is of all that the row names.
func (r *servedRow) known(info *features.FeatureInfo) bool {
	for i, ref := range r.refs {
		if (info.Kind == "" || info.Kind == ref.Kind) && r.pin(i) != nil {
			return true
		}
	}
	return false
}

// eventTime gives what a value is of, in microseconds: of a pushed one what it was computed for, else the newest event of its
// entity, or of the one that has been still for longest. 0 where there is none.
func (r *servedRow) eventTime(place int, info *features.FeatureInfo) int64 {
	for i := range r.vec.Sourced {
		if s := &r.vec.Sourced[i]; s.Feature == place && s.AsOf != 0 {
			return s.AsOf
		}
	}
	oldest := int64(math.MaxInt64)
	for i, ref := range r.refs {
		if pin := r.pin(i); pin != nil && pin.Newest != 0 && (info.Kind == "" || info.Kind == ref.Kind) {
			oldest = min(oldest, pin.Newest)
		}
	}
	if oldest == math.MaxInt64 {
		return 0
	}
	return oldest
}

// ref gives an entity by what a caller calls it.
func (c *calls) ref(p *Principal, path string, id *pb.Identifier) (features.EntityRef, error) {
	alias, err := c.deps.Edge.Alias(p.Tenant, path, id)
	if err != nil {
		return features.EntityRef{}, err //nolint:wrapcheck // an *edge.Error has its path, and its text is for the caller
	}
	kind, ok := c.deps.Kinds.Get(alias.GetKind())
	if !ok {
		return features.EntityRef{}, fmt.Errorf("BUG: edge knows kind %q and the server does not", alias.GetKind())
	}
	return features.EntityRef{Key: features.MakeEntityKey(p.Tenant, kind, alias.GetValue()), Kind: kind.Name, Alias: alias.GetValue()}, nil
}

// identifier gives an entity as it is stored: personal kinds by their alias.
func (c *calls) identifier(ref features.EntityRef) *pb.Identifier {
	id := &pb.Identifier{Kind: ref.Kind, Value: ref.Alias, Form: pb.Form_FORM_RAW}
	if kind, ok := c.deps.Kinds.Get(ref.Kind); ok && kind.Personal {
		id.Form = pb.Form_FORM_ALIAS
	}
	return id
}

// getFeatures reads rows of features, as of now.
func (c *calls) getFeatures(ctx context.Context, p *Principal, req *pb.GetFeaturesRequest, arrived time.Time) (*pb.GetFeaturesResponse, error) {
	if err := checkTenant(p, req.GetTenant(), "tenant"); err != nil {
		return nil, err
	}
	w, err := c.wantBounded(req)
	if err != nil {
		return nil, err
	}
	out := &pb.GetFeaturesResponse{
		FeaturesAsOf: timestamppb.New(time.UnixMicro(arrived.UnixMicro())), FeatureSet: w.set.Name, FeatureSetVersion: w.set.Version,
		FeatureSetHash: fmt.Sprintf("%x", w.set.Hash),
	}
	for _, place := range w.places {
		out.FeatureNames = append(out.FeatureNames, w.set.Features[place].Name)
	}
	row := &servedRow{}
	for i, asked := range req.GetRows() {
		if row.refs, err = c.rowOf(p, i, asked.GetEntities(), row.refs[:0]); err != nil {
			return nil, err
		}
		err = c.read(ctx, w, arrived, row)
		if err != nil {
			return nil, err
		}
		out.Watermark, out.ConsumerLag = freshness(&row.vec)
		out.Rows = append(out.Rows, c.answer(w, row))
	}
	return out, nil
}

// wantBounded finds the features of a call that is not too large.
func (c *calls) wantBounded(req *pb.GetFeaturesRequest) (*wanted, error) {
	w, err := c.want(req.GetFeatures(), req.GetFeatureService())
	if err != nil {
		return nil, err
	}
	err = c.bounded(len(req.GetRows()), len(w.places))
	return w, err
}

// rowOf reads the entities of a row.
func (c *calls) rowOf(p *Principal, row int, ids []*pb.Identifier, refs []features.EntityRef) ([]features.EntityRef, error) {
	if len(ids) == 0 || len(ids) > maxRowEntities {
		return nil, refuse(kindInvalid, string(edge.InvalidField), fmt.Sprintf("rows[%d].entities", row), fmt.Sprintf("%d entities; 1 to %d are a row", len(ids), maxRowEntities))
	}
	for i, id := range ids {
		path := fmt.Sprintf("rows[%d].entities[%d]", row, i)
		ref, err := c.ref(p, path, id)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(refs, func(have features.EntityRef) bool { return have.Kind == ref.Kind }) {
			return nil, refuse(kindInvalid, string(edge.InvalidField), path+".kind", "the row names two of this kind")
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// answer gives the row as a message.
func (c *calls) answer(w *wanted, r *servedRow) *pb.FeatureRow {
	out := &pb.FeatureRow{}
	for i, ref := range r.refs {
		state := &pb.EntityState{Entity: c.identifier(ref)}
		if pin := r.pin(i); pin != nil {
			state.Known, state.Position = true, pin.Pos.String()
			if pin.Newest != 0 {
				state.NewestEvent = timestamppb.New(time.UnixMicro(pin.Newest))
			}
		}
		out.Entities = append(out.Entities, state)
	}
	for _, place := range w.places {
		value := &pb.ServedValue{Status: r.vec.Status[place].String()}
		if v := r.vec.Values[place]; !math.IsNaN(v) {
			value.Value = &v
		}
		if at := r.eventTime(place, &w.set.Features[place]); at != 0 {
			value.EventTime = timestamppb.New(time.UnixMicro(at))
			value.AgeMs = new(max(0, (r.vec.At-at)/1000))
		}
		out.Values = append(out.Values, value)
	}
	return out
}

// maxPushValues bounds the values of one entity in a push, maxExactInt the integers that a float64 holds.
const (
	maxPushValues = 64
	maxExactInt   = 1 << 53
)

// pushFeatures keeps values that were computed elsewhere: each entity's stand for themselves.
func (c *calls) pushFeatures(ctx context.Context, p *Principal, req *pb.PushFeaturesRequest, arrived time.Time) (*pb.PushFeaturesResponse, error) {
	if err := checkTenant(p, req.GetTenant(), "tenant"); err != nil {
		return nil, err
	}
	asked := req.GetEntities()
	if len(asked) == 0 || len(asked) > c.cfg.Limits.BatchEvents {
		return nil, refuse(kindInvalid, string(edge.InvalidField), "entities", fmt.Sprintf("%d entities; 1 to %d are a push", len(asked), c.cfg.Limits.BatchEvents))
	}
	results := make([]*pb.PushResult, len(asked))
	items, places := make([]features.Push, 0, len(asked)), make([]int, 0, len(asked))
	for i, one := range asked {
		results[i] = &pb.PushResult{Status: pb.PublishStatus_PUBLISH_STATUS_ACCEPTED}
		item, err := c.pushOf(p, fmt.Sprintf("entities[%d]", i), one, arrived)
		if err != nil {
			if fault := rejectPush(results[i], err); fault != nil {
				return nil, fault
			}
			continue
		}
		items, places = append(items, item), append(places, i)
	}
	if len(items) > 0 {
		fates, err := c.deps.Pusher.Push(ctx, items)
		if err != nil {
			return nil, fmt.Errorf("cannot keep pushed values: %w", err) // offering it again does no harm
		}
		if len(fates) != len(items) {
			return nil, fmt.Errorf("BUG: %d pushes, %d results", len(items), len(fates))
		}
		for j, fate := range fates {
			to := results[places[j]]
			to.Outdated = uint32(fate.Outdated)
			if errors.Is(fate.Err, features.ErrUnknownPush) {
				fate.Err = refuse(kindInvalid, "UNKNOWN_PUSH", fmt.Sprintf("entities[%d].values", places[j]), fate.Err.Error())
			}
			if err := rejectPush(to, fate.Err); err != nil {
				return nil, err
			}
		}
	}
	return &pb.PushFeaturesResponse{Results: results}, nil
}

// rejectPush writes a refusal into a result. It gives the error back where it is none.
func rejectPush(to *pb.PushResult, err error) error {
	if err == nil {
		return nil
	}
	out, known := toCallError(err)
	if !known {
		return err
	}
	to.Status = pb.PublishStatus_PUBLISH_STATUS_REJECTED
	to.Error = &pb.FieldError{Reason: out.reason, Path: out.path, Message: out.message}
	return nil
}

// pushOf checks one entity's values.
func (c *calls) pushOf(p *Principal, path string, one *pb.EntityPush, arrived time.Time) (features.Push, error) {
	invalid := func(at, message string) (features.Push, error) {
		return features.Push{}, refuse(kindInvalid, string(edge.InvalidField), path+at, message)
	}
	ref, err := c.ref(p, path+".entity", one.GetEntity())
	if err != nil {
		return features.Push{}, err
	}
	asOf := arrived
	if one.GetAsOf() != nil {
		if err := one.GetAsOf().CheckValid(); err != nil || one.GetAsOf().AsTime().Sub(arrived) > edge.FutureBound || one.GetAsOf().GetSeconds() < 0 {
			return invalid(".as_of", fmt.Sprintf("must be after 1970 and at most %s ahead", edge.FutureBound))
		}
		asOf = one.GetAsOf().AsTime()
	}
	if n := len(one.GetValues()); n == 0 || n > maxPushValues {
		return invalid(".values", fmt.Sprintf("%d values; 1 to %d are a push", n, maxPushValues))
	}
	item := features.Push{Tenant: p.Tenant, Entity: ref, AsOf: asOf.UnixMicro()}
	for i, v := range one.GetValues() {
		at := fmt.Sprintf(".values[%d]", i)
		number := math.NaN()
		switch v := v.GetValue().(type) {
		case *pb.PushValue_Number:
			if number = v.Number; math.IsNaN(number) || math.IsInf(number, 0) {
				return invalid(at+".number", "must be finite")
			}
		case *pb.PushValue_Int:
			if v.Int > maxExactInt || v.Int < -maxExactInt {
				return invalid(at+".int", "must be within 2^53")
			}
			number = float64(v.Int)
		case *pb.PushValue_Flag:
			number = 0
			if v.Flag {
				number = 1
			}
		default: // taken away
		}
		if slices.ContainsFunc(item.Values, func(have features.PushedValue) bool { return have.Key == v.GetKey() }) {
			return invalid(at+".key", "is there twice")
		}
		item.Values = append(item.Values, features.PushedValue{Key: v.GetKey(), Number: number})
	}
	return item, nil
}
