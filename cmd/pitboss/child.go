package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childServer is a server in a process of its own, as a game would meet it, for measuring.
type childServer struct {
	dir, key   string
	http, grpc string
	cmd        *exec.Cmd
	log        bytes.Buffer
	ended      chan error
	// ready is how long it took from the start of the process to its first ready answer.
	ready time.Duration
}

// startServer writes a configuration as the demo does and runs `pitboss serve` on it.
func startServer(ctx context.Context, brokers []string) (_ *childServer, err error) {
	dir, err := os.MkdirTemp("", "pitboss-bench-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory: %w", err)
	}
	s := &childServer{dir: dir, ended: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	cfg, key, err := demoConfig(dir, brokers)
	if err != nil {
		return nil, err
	}
	s.key, s.http, s.grpc = key, cfg.Server.HTTP, cfg.Server.GRPC
	err = s.serve(ctx)
	return s, err
}

// serve runs the server on the configuration in its directory, until it is ready.
func (s *childServer) serve(ctx context.Context) error {
	began := time.Now()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	s.cmd = exec.CommandContext(ctx, self, "serve", "--config", filepath.Join(s.dir, "pitboss.yaml")) //nolint:gosec // this very program
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 20 * time.Second
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the server: %w", err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.end())
	}
	s.ready = time.Since(began)
	return nil
}

func (s *childServer) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-s.ended:
			s.ended <- nil // for stop
			return fmt.Errorf("the server ended at once: %w\n%s", err, s.log.String())
		default:
		}
		if _, err := s.get(ctx, "/readyz"); err == nil {
			return nil
		}
		if !sleepUntil(ctx, time.Now().Add(50*time.Millisecond)) {
			return ctx.Err()
		}
	}
	return errors.New("the server was not ready within 30 s")
}

// stop ends the server and takes its data away.
func (s *childServer) stop() error { return errors.Join(s.end(), os.RemoveAll(s.dir)) }

// end ends the server as an operator would.
func (s *childServer) end() error {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	err := <-s.ended
	if err != nil {
		err = fmt.Errorf("the server ended badly: %w\n%s", err, s.log.String())
	}
	return err
}

func (s *childServer) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return body, nil
}

// metrics reads the figures without labels.
func (s *childServer) metrics(ctx context.Context) (map[string]float64, error) {
	body, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("cannot read the server's metrics: %w", err)
	}
	m := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	return m, nil
}

// freeAddress gives the wanted address, or where it is taken one with a free port.
func freeAddress(wanted string) (string, error) {
	var lc net.ListenConfig
	for _, address := range []string{wanted, "127.0.0.1:0"} {
		l, err := lc.Listen(context.Background(), "tcp", address)
		if err != nil {
			continue
		}
		free := l.Addr().String()
		return free, l.Close()
	}
	return "", errors.New("no port is free on 127.0.0.1")
}
