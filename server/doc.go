// Package server is the edge of the network: gRPC and JSON over one implementation, with principals, rights, limits,
// deadlines, health and metrics.
//
// It decides nothing and keeps nothing: what it calls are the small interfaces of backend.go, which decide, features
// and registry stand behind. Whatever arrives is hostile here: bodies are bounded, JSON is strict, panics end a call and
// not the process, and no internal text leaves.
//
// Start reading at Server in server.go, then the table of routes in routes.go (every call, its right, its handler) and
// the table of errors in errors.go. calls.go has the calls themselves, free of transport; grpc.go and http.go put the
// two transports before them.
package server
