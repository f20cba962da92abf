package main

import (
	"fmt"
	"log/slog"
	"os"
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

func (g grpcLog) Warning(args ...any)               { g.log.Debug(line(fmt.Sprint(args...))) }
func (g grpcLog) Warningln(args ...any)             { g.log.Debug(line(fmt.Sprintln(args...))) }
func (g grpcLog) Warningf(form string, args ...any) { g.log.Debug(line(fmt.Sprintf(form, args...))) }

func (g grpcLog) Error(args ...any)               { g.log.Warn(line(fmt.Sprint(args...))) }
func (g grpcLog) Errorln(args ...any)             { g.log.Warn(line(fmt.Sprintln(args...))) }
func (g grpcLog) Errorf(form string, args ...any) { g.log.Warn(line(fmt.Sprintf(form, args...))) }

// Fatal and its like end the program, as they promise.
func (g grpcLog) Fatal(args ...any)               { g.Error(args...); os.Exit(1) }
func (g grpcLog) Fatalln(args ...any)             { g.Errorln(args...); os.Exit(1) }
func (g grpcLog) Fatalf(form string, args ...any) { g.Errorf(form, args...); os.Exit(1) }

// V tells that details are not wanted.
func (g grpcLog) V(int) bool { return false }

func line(text string) string { return strings.TrimSpace(text) }
