package server

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

func (s *Server) httpDecide(c *httpCall) error {
	req := &pb.DecisionRequest{}
	if err := c.decode(req); err != nil {
		return err
	}
	answer, err := s.calls.decide(c.context(), c.principal, req, c.arrived)
	if err != nil {
		return err
	}
	return c.write(answer)
}

func (s *Server) httpPublish(c *httpCall) error {
	req := &pb.PublishRequest{}
	if err := c.decode(req); err != nil {
		return err
	}
	answer, err := s.calls.publish(c.context(), c.principal, req, c.arrived)
	if err != nil {
		return err
	}
	return c.write(answer)
}

func (s *Server) httpGetDecision(c *httpCall) error {
	query, err := c.query("explain")
	if err != nil {
		return err
	}
	req := &pb.GetDecisionRequest{DecisionId: c.r.PathValue("id")}
	switch query.Get("explain") {
	case "":
	case "none":
		req.Explain = pb.Explain_EXPLAIN_NONE
	case "top":
		req.Explain = pb.Explain_EXPLAIN_TOP
	case "full":
		req.Explain = pb.Explain_EXPLAIN_FULL
	default:
		return refuse(kindInvalid, string(edge.InvalidField), "explain", "must be none, top or full")
	}
	answer, err := s.calls.getDecision(c.context(), c.principal, req)
	if err != nil {
		return err
	}
	return c.write(answer)
}

func (s *Server) httpExplainDecision(c *httpCall) error {
	query, err := c.query("method", "features", "limit", "background")
	if err != nil {
		return err
	}
	req := &pb.ExplainDecisionRequest{DecisionId: c.r.PathValue("id")}
	if req.Method, err = methodOf(query.Get("method")); err != nil {
		return err
	}
	if names := query.Get("features"); names != "" {
		req.Features = strings.Split(names, ",")
	}
	for name, to := range map[string]*uint32{"limit": &req.Limit, "background": &req.Background} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		n, wrong := strconv.ParseUint(text, 10, 32)
		if wrong != nil {
			return refuse(kindInvalid, string(edge.InvalidField), name, "must be a number")
		}
		*to = uint32(n)
	}
	answer, err := s.calls.explainDecision(c.context(), c.principal, req)
	if err != nil {
		return err
	}
	return c.write(answer)
}

func (s *Server) httpGetFeatures(c *httpCall) error {
	query, err := c.query("form", "tenant", "at")
	if err != nil {
		return err
	}
	entity, at, err := c.entityAt(query)
	if err != nil {
		return err
	}
	req := &pb.GetEntityFeaturesRequest{Tenant: query.Get("tenant"), Entity: entity, At: at}
	answer, err := s.calls.getEntityFeatures(c.context(), c.principal, req, c.arrived)
	if err != nil {
		return err
	}
	return c.write(answer)
}

func (s *Server) httpExplainFeatures(c *httpCall) error {
	query, err := c.query("form", "tenant", "at", "features", "newest")
	if err != nil {
		return err
	}
	entity, at, err := c.entityAt(query)
	if err != nil {
		return err
	}
	req := &pb.ExplainEntityFeaturesRequest{Tenant: query.Get("tenant"), Entity: entity, At: at}
	if names := query.Get("features"); names != "" {
		req.Features = strings.Split(names, ",")
	}
	if text := query.Get("newest"); text != "" {
		n, wrong := strconv.ParseUint(text, 10, 32)
		if wrong != nil {
			return refuse(kindInvalid, string(edge.InvalidField), "newest", newestRule())
		}
		req.Newest = uint32(n)
	}
	answer, err := s.calls.explainEntityFeatures(c.context(), c.principal, req, c.arrived)
	if err != nil {
		return err
	}
	return c.write(answer)
}

// entityAt reads the entity that the path names, and the time that the query does.
func (c *httpCall) entityAt(query url.Values) (*pb.Identifier, *timestamppb.Timestamp, error) {
	entity := &pb.Identifier{Kind: c.r.PathValue("kind"), Value: c.r.PathValue("id")}
	switch query.Get("form") {
	case "raw":
		entity.Form = pb.Form_FORM_RAW
	case "alias":
		entity.Form = pb.Form_FORM_ALIAS
	default:
		return nil, nil, refuse(kindInvalid, string(edge.InvalidField), "form", "must be raw or alias: it is never guessed")
	}
	text := query.Get("at")
	if text == "" {
		return entity, nil, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, nil, refuse(kindInvalid, string(edge.InvalidField), "at", "must be a time such as 2026-11-22T10:00:00Z")
	}
	return entity, timestamppb.New(at), nil
}

func (s *Server) httpGetFeatureRows(c *httpCall) error {
	req := &pb.GetFeaturesRequest{}
	if err := c.decode(req); err != nil {
		return err
	}
	answer, err := s.calls.getFeatures(c.context(), c.principal, req, c.arrived)
	if err != nil {
		return err
	}
	return c.write(answer)
}

func (s *Server) httpPushFeatures(c *httpCall) error {
	req := &pb.PushFeaturesRequest{}
	if err := c.decode(req); err != nil {
		return err
	}
	answer, err := s.calls.pushFeatures(c.context(), c.principal, req, c.arrived)
	if err != nil {
		return err
	}
	return c.write(answer)
}

// httpReloadBundle takes an empty object: which bundle it is stands in the configuration.
func (s *Server) httpReloadBundle(c *httpCall) error {
	if err := c.decode(&emptypb.Empty{}); err != nil {
		return err
	}
	state, err := s.deps.Reloader.ReloadBundle(c.context())
	if err != nil {
		return err //nolint:wrapcheck // an error of the table in errors.go
	}
	return c.writeJSON(http.StatusOK, state)
}

// query reads the query's parameters, of which there may be no others and none twice.
func (c *httpCall) query(known ...string) (url.Values, error) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, refuse(kindInvalid, string(edge.InvalidField), "", "the query is not well formed")
	}
	for name, values := range query {
		if !slices.Contains(known, name) || len(values) != 1 {
			return nil, refuse(kindInvalid, string(edge.InvalidField), "", "the query may have "+strings.Join(known, ", ")+
				", each once")
		}
	}
	return query, nil
}

func (s *Server) httpGuard(*httpCall) error {
	return refuse(kindNotBuilt, "NOT_BUILT", "", "/v1/guard is kept for signals of the player's client; it is not built yet: "+
		"send guard.batch events to /v1/events from your server")
}

func (s *Server) httpHealth(c *httpCall) error {
	return c.writeJSON(http.StatusOK, map[string]string{"status": "ok"})
}

// readyBody is the answer of /readyz.
type readyBody struct {
	Status     string      `json:"status"`
	Draining   bool        `json:"draining"`
	Components []Component `json:"components"`
}

func (s *Server) httpReady(c *httpCall) error {
	ready, parts := s.ready()
	body := readyBody{Status: "ready", Draining: s.draining.Load(), Components: parts}
	if ready {
		return c.writeJSON(http.StatusOK, body)
	}
	body.Status = "not_ready"
	return c.writeJSON(http.StatusServiceUnavailable, body)
}

func (s *Server) httpMetrics(c *httpCall) error {
	c.wrote = true
	promhttp.HandlerFor(s.deps.Metrics, promhttp.HandlerOpts{}).ServeHTTP(c.w, c.r)
	return nil
}
