package main

import (
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// adoptGRPCLog writes what the libraries of gRPC and its gateway have to say into
// the log, one line each, instead of into stderr beside it. They keep their
// logger in a global, which is why a program sets it and nobody else; it must be
// set before anything of theirs is used.
func adoptGRPCLog(log *slog.Logger) { grpclog.SetLoggerV2(grpcLog{log.With("part", "grpc")}) }

// grpcLog tells their errors as warnings: what matters to us is an error of a
// call of ours. Their warnings are about connections that come and go.
type grpcLog struct{ log *slog.Logger }

func (g grpcLog) Info(...any)          {}
func (g grpcLog) Infoln(...any)        {}
func (g grpcLog) Infof(string, ...any) {}

func (g grpcLog) Warning(args ...any)               { g.detail(fmt.Sprint(args...)) }
func (g grpcLog) Warningln(args ...any)             { g.detail(fmt.Sprintln(args...)) }
func (g grpcLog) Warningf(form string, args ...any) { g.detail(fmt.Sprintf(form, args...)) }

func (g grpcLog) Error(args ...any)               { g.trouble(fmt.Sprint(args...)) }
func (g grpcLog) Errorln(args ...any)             { g.trouble(fmt.Sprintln(args...)) }
func (g grpcLog) Errorf(form string, args ...any) { g.trouble(fmt.Sprintf(form, args...)) }

// The package grpclog ends the program after these.
func (g grpcLog) Fatal(args ...any)               { g.Error(args...) }
func (g grpcLog) Fatalln(args ...any)             { g.Errorln(args...) }
func (g grpcLog) Fatalf(form string, args ...any) { g.Errorf(form, args...) }

// V tells that details are not wanted.
func (g grpcLog) V(int) bool { return false }

func (g grpcLog) detail(text string) {
	g.log.Debug("gRPC tells of a detail", "text", strings.TrimSpace(text))
}

func (g grpcLog) trouble(text string) {
	g.log.Warn("gRPC tells of trouble", "text", strings.TrimSpace(text))
}
