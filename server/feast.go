package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// aliasColumn ends the name of a column of entities that are given by their aliases.
const aliasColumn = "_alias"

// feastRequest is the body of POST /get-online-features, as Feast's clients send it (feast/feature_server.py).
type feastRequest struct {
	Entities         map[string][]any `json:"entities"`
	Features         []string         `json:"features"`
	FeatureService   string           `json:"feature_service"`
	FullFeatureNames bool             `json:"full_feature_names"`
}

// feastResponse is the answer: a column for each entity, then one for each feature.
type feastResponse struct {
	Metadata struct {
		FeatureNames []string `json:"feature_names"`
	} `json:"metadata"`
	Results []*feastColumn `json:"results"`
}

type feastColumn struct {
	Values          []any    `json:"values"`
	Statuses        []string `json:"statuses"`
	EventTimestamps []string `json:"event_timestamps"`
}

// Feast's statuses (FieldStatus in its serving protocol).
const (
	feastPresent   = "PRESENT"
	feastNull      = "NULL_VALUE"
	feastNotFound  = "NOT_FOUND"
	feastOutOfDate = "OUTSIDE_MAX_AGE"
)

// httpFeast answers Feast's POST /get-online-features. A column of entities is called as its kind, where it has raw values, or
// as its kind and _alias. A feature is named alone, or after a view: its kind, its group or the feature set.
func (s *Server) httpFeast(c *httpCall) error {
	var req feastRequest
	if err := edge.CheckJSON(c.body, "", s.cfg.Limits.JSONDepth); err != nil {
		return err //nolint:wrapcheck // an *edge.Error has its path, and its text is for the caller
	}
	// Fields that this does not know are the client's newer ones: nothing here depends on them.
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.UseNumber()
	if err := dec.Decode(&req); err != nil {
		return refuse(kindInvalid, "INVALID_JSON", "", "not a request for online features: entities are columns of values, features a list of names")
	}
	w, names, err := s.calls.feastFeatures(&req)
	if err != nil {
		return err
	}
	table, err := s.calls.feastEntities(c.principal, &req)
	if err != nil {
		return err
	}
	if err := s.calls.bounded(table.rows, len(w.places)); err != nil {
		return err
	}
	out := &feastResponse{}
	out.Metadata.FeatureNames = append(slices.Clone(table.names), names...)
	for _, name := range table.names {
		column := &feastColumn{Values: req.Entities[name]}
		for range table.rows {
			column.add(feastPresent, 0)
		}
		out.Results = append(out.Results, column)
	}
	columns := make([]*feastColumn, len(w.places))
	for i := range columns {
		columns[i] = &feastColumn{}
	}
	row := &servedRow{}
	for i := range table.rows {
		row.refs = table.refs[i]
		if err := s.calls.read(c.context(), w, c.arrived, row); err != nil {
			return err
		}
		for j, place := range w.places {
			columns[j].put(row, place, &w.set.Features[place])
		}
	}
	out.Results = append(out.Results, columns...)
	return c.writeJSON(200, out)
}

// feastFeatures finds the features, and the names that they are answered by.
func (c *calls) feastFeatures(req *feastRequest) (*wanted, []string, error) {
	plain, views := make([]string, len(req.Features)), make([]string, len(req.Features))
	for i, ref := range req.Features {
		view, name, found := strings.Cut(ref, ":")
		if !found {
			view, name = "", ref
		}
		plain[i], views[i] = name, view
	}
	w, err := c.want(plain, req.FeatureService)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(w.places))
	for i, place := range w.places {
		info := &w.set.Features[place]
		view := w.set.Name
		if req.FeatureService == "" && views[i] != "" {
			if view = views[i]; view != info.Kind && view != info.Group && view != w.set.Name {
				return nil, nil, refuse(kindNotFound, "NO_SUCH_FEATURE", fmt.Sprintf("features[%d]", i),
					"a view is the feature's kind of entity, its group or the feature set: "+edge.PathName(view)+" is none of them")
			}
		}
		if names[i] = info.Name; req.FullFeatureNames {
			names[i] = view + "__" + info.Name
		}
	}
	return w, names, nil
}

// feastTable are the entities of a request, by rows.
type feastTable struct {
	names []string
	rows  int
	refs  [][]features.EntityRef
}

func (c *calls) feastEntities(p *Principal, req *feastRequest) (*feastTable, error) {
	t := &feastTable{}
	for name := range req.Entities {
		t.names = append(t.names, name)
	}
	slices.Sort(t.names)
	if len(t.names) == 0 || len(t.names) > maxRowEntities {
		return nil, refuse(kindInvalid, string(edge.InvalidField), "entities", fmt.Sprintf("%d columns; 1 to %d are a request", len(t.names), maxRowEntities))
	}
	t.rows = len(req.Entities[t.names[0]])
	if t.rows > c.cfg.Limits.FeatureRows {
		return nil, c.bounded(t.rows, 0)
	}
	t.refs = make([][]features.EntityRef, t.rows)
	for _, name := range t.names {
		path := "entities." + edge.PathName(name)
		if n := len(req.Entities[name]); n != t.rows {
			return nil, refuse(kindInvalid, string(edge.InvalidField), path, fmt.Sprintf("has %d values, another column %d", n, t.rows))
		}
		id := &pb.Identifier{Kind: name, Form: pb.Form_FORM_RAW}
		if _, exact := c.deps.Kinds.Get(name); !exact && strings.HasSuffix(name, aliasColumn) {
			id.Kind, id.Form = strings.TrimSuffix(name, aliasColumn), pb.Form_FORM_ALIAS
		}
		for i, v := range req.Entities[name] {
			at := fmt.Sprintf("%s[%d]", path, i)
			switch v := v.(type) {
			case string:
				id.Value = v
			case json.Number:
				id.Value = v.String()
			default:
				return nil, refuse(kindInvalid, string(edge.InvalidField), at, "must be text or a number")
			}
			ref, err := c.ref(p, at, id)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(t.refs[i], func(have features.EntityRef) bool { return have.Kind == ref.Kind }) {
				return nil, refuse(kindInvalid, string(edge.InvalidField), path, "two columns are of one kind")
			}
			t.refs[i] = append(t.refs[i], ref)
		}
	}
	return t, nil
}

// put adds a row's value. What no event ever named is not found, as Feast has it, though a count of it would be 0.
func (f *feastColumn) put(row *servedRow, place int, info *features.FeatureInfo) {
	v := row.vec.Values[place]
	status := feastPresent
	switch {
	case row.vec.Status[place] == features.Stale:
		status = feastOutOfDate
	case !row.known(info):
		status, v = feastNotFound, math.NaN()
	case math.IsNaN(v):
		status = feastNull
	}
	if math.IsNaN(v) {
		f.Values = append(f.Values, nil)
	} else {
		f.Values = append(f.Values, v)
	}
	f.add(status, row.eventTime(place, info))
}

func (f *feastColumn) add(status string, at int64) {
	f.Statuses = append(f.Statuses, status)
	f.EventTimestamps = append(f.EventTimestamps, time.UnixMicro(at).UTC().Format(time.RFC3339Nano))
}
