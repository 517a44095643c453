package server

import (
	"net/http"

	pb "pitboss/proto/pitboss/v1"
)

// route is one call: how it is reached, what it takes and who answers.
type route struct {
	// name is the label of metrics.
	name string
	// right is what the principal needs; Public needs nobody.
	right Right
	// method and pattern are the HTTP request, as http.ServeMux has them; empty where there is none.
	method  string
	pattern string
	// rpcs are the full names of the gRPC methods.
	rpcs []string
	// free calls are let through where the server is full: health must be told then above all.
	free bool
	// hurried calls have their own deadline, far inside that of the others.
	hurried bool
	// serve answers over HTTP.
	serve func(*Server, *httpCall) error
}

// routes is the one table of what can be called. The HTTP mux and the gRPC interceptors are made of it: a call that is
// not in it does not exist, and tests walk it.
func routes() []route {
	return []route{
		{
			name: "decide", right: Decide, method: http.MethodPost, pattern: "/v1/decisions",
			rpcs: []string{pb.DecisionService_Decide_FullMethodName}, hurried: true, serve: (*Server).httpDecide,
		},
		{
			name: "get_decision", right: ReadDecision, method: http.MethodGet, pattern: "/v1/decisions/{id}",
			rpcs: []string{pb.DecisionService_GetDecision_FullMethodName}, serve: (*Server).httpGetDecision,
		},
		{
			name: "explain_decision", right: ExplainDecision, method: http.MethodGet, pattern: "/v1/decisions/{id}/score:explain",
			rpcs: []string{pb.DecisionService_ExplainDecision_FullMethodName}, serve: (*Server).httpExplainDecision,
		},
		{
			name: "publish", right: Publish, method: http.MethodPost, pattern: "/v1/events",
			rpcs: []string{pb.EventService_Publish_FullMethodName}, serve: (*Server).httpPublish,
		},
		{
			name: "get_features", right: ReadFeatures, method: http.MethodGet, pattern: "/v1/entities/{kind}/{id}/features",
			rpcs: []string{pb.FeatureService_GetEntityFeatures_FullMethodName}, serve: (*Server).httpGetFeatures,
		},
		{
			name: "explain_features", right: ExplainFeatures, method: http.MethodGet, pattern: "/v1/entities/{kind}/{id}/features:explain",
			rpcs: []string{pb.FeatureService_ExplainEntityFeatures_FullMethodName}, serve: (*Server).httpExplainFeatures,
		},
		{
			name: "get_feature_rows", right: ReadFeatures, method: http.MethodPost, pattern: "/v1/features:get",
			rpcs: []string{pb.FeatureService_GetFeatures_FullMethodName}, serve: (*Server).httpGetFeatureRows,
		},
		{
			name: "push_features", right: PushFeatures, method: http.MethodPost, pattern: "/v1/features:push",
			rpcs: []string{pb.FeatureService_PushFeatures_FullMethodName}, serve: (*Server).httpPushFeatures,
		},
		{name: "feast", right: ReadFeatures, method: http.MethodPost, pattern: "/get-online-features", serve: (*Server).httpFeast},
		{
			name: "reload_bundle", right: ChangeModel, method: http.MethodPost, pattern: "/v1/admin/bundle:reload",
			serve: (*Server).httpReloadBundle,
		},
		// The client guard's signals come here one day, with tokens of their own.
		{name: "guard", right: Public, method: http.MethodPost, pattern: "/v1/guard", serve: (*Server).httpGuard},
		{
			name: "health", right: Public, method: http.MethodGet, pattern: "/healthz", free: true,
			rpcs:  []string{"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch"},
			serve: (*Server).httpHealth,
		},
		{name: "ready", right: Public, method: http.MethodGet, pattern: "/readyz", free: true, serve: (*Server).httpReady},
		{name: "metrics", right: Operate, method: http.MethodGet, pattern: "/metrics", free: true, serve: (*Server).httpMetrics},
		{
			// What reflection tells is in the published .proto files.
			name: "reflection", right: Public, free: true,
			rpcs: []string{
				"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
				"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
			},
		},
	}
}
