package main

import "fmt"

// goal is what a figure is wanted to reach; the zero goal is none.
type goal struct {
	most, least float64 // of the ratio; 0: no bound
	value       bool    // the bound holds for the value, which is to be 0
	worth       float64 // most of the value; 0: no bound
	reach       float64 // least of the value; 0: no bound
}

// goals are what the project wants of itself, by row.
var goals = map[string]goal{
	"cold.spawn":              {most: 1.2},
	"cold.spawn.forkexec":     {most: 2.3},
	"spawn.fds":               {most: 2},
	"resident.dispatch":       {most: 1.3},
	"resident.batch":          {least: 1.3},
	"capsule.dispatch.c":      {most: 0.2},
	"capsule.dispatch.go":     {most: 0.05},
	"capsule.dispatch.python": {most: 0.01},
	"zygote.dispatch.c":       {most: 0.5},
	"zygote.dispatch.python":  {most: 0.1},
	"thread.dispatch":         {most: 2},
	"callback.echo.libuv":     {least: 1.1},
	"callback.echo.libevent":  {least: 1.2},
	"connections.idle":        {most: 1.15},
	"sockstate.wrong":         {value: true},
	"datagrams.rate":          {least: 0.6},
	"copy.16MiB":              {most: 1.3},
	"policy.compile":          {most: 1},
	"priority.overload":       {most: 1.5},
	"priority.overload.p99":   {most: 3},
	"order.violations":        {value: true},
	"boost.syscalls":          {value: true},
	"policy.size":             {most: 1},
	"policy.call":             {most: 1.1},
	"dispatch.allocs":         {value: true},
	"files.missed":            {value: true},
	"timer.add":               {least: 5},
	"timer.cancel":            {least: 0.7},
	"timer.fire":              {least: 1},
	"timer.gc":                {most: 2},
	"events.bytes":            {worth: 128},
	"events.activate":         {most: 1.5},
	"control.million":         {worth: 10},
	"control.rate":            {reach: 100_000},
	"limits.create":           {worth: 3},
	"limits.memory":           {worth: 32},
	"peers.cold":              {least: 0.9},
	"peers.cold.nopolicy":     {least: 1},
	"peers.capsule":           {least: 1.2},
	"peers.capsule.p50":       {most: 0.3},
	"peers.resident":          {least: 5},
	"peers.resident.p50":      {most: 0.2},
}

func (g goal) String() string {
	switch {
	case g.value:
		return "0"
	case g.worth != 0:
		return fmt.Sprintf("<= %v", g.worth)
	case g.reach != 0:
		return fmt.Sprintf(">= %v", g.reach)
	case g.most != 0:
		return fmt.Sprintf("<= %v", g.most)
	case g.least != 0:
		return fmt.Sprintf(">= %v", g.least)
	}
	return ""
}

// verdict says in a word whether a row is where it is wanted.
func (g goal) verdict(r *row) string {
	switch {
	case g.worth != 0 && r.Value <= g.worth, g.reach != 0 && r.Value >= g.reach:
		return "met"
	case g.reach != 0:
		return "not met"
	case g == goal{}, !g.value && g.worth == 0 && r.Ratio == nil:
		return ""
	case g.value && r.Value < 0.5, // background allocations of the runtime are no event's
		!g.value && g.worth == 0 && (g.most == 0 || *r.Ratio <= g.most) && (g.least == 0 || *r.Ratio >= g.least):
		return "met"
	}
	return "not met"
}
