# Does the work of a Temporal Activity in Ruby. Needs Fiddle, which is part of Ruby, and the library:
#
#     ruby activity.rb ITEMS
#
# Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
# finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.

require "fiddle/import"
require "json"

# Functions from temporal_heartbeat.h.
module THB
  extend Fiddle::Importer
  dlload ENV.fetch("TEMPORAL_HEARTBEAT_LIBRARY", "libtemporal_heartbeat.so.0")
  typealias "thb_status_t", "int32_t"
  typealias "thb_encoding_t", "int32_t"
  typealias "thb_activity_t", "uint64_t"

  extern "thb_status_t thb_check_abi(uint32_t abi)"
  extern "const char *thb_status_name(thb_status_t status)"
  extern "const char *thb_error_message(const thb_error_t *error)"
  extern "void thb_error_free(thb_error_t *error)"

  extern "thb_status_t thb_connect(const char *options_json, size_t options_len, thb_error_t **error_out)"
  extern "thb_status_t thb_disconnect(uint32_t timeout_ms, thb_error_t **error_out)"

  extern "thb_status_t thb_activity_open(const void *token, size_t token_len, const char *options_json, " \
         "size_t options_len, thb_activity_t *activity_out, thb_error_t **error_out)"
  extern "thb_status_t thb_activity_get_details(thb_activity_t activity, uint32_t timeout_ms, " \
         "thb_details_t **details_out, thb_error_t **error_out)"
  extern "thb_status_t thb_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, " \
         "const void *details, size_t details_len, uint32_t *signals_out, thb_error_t **error_out)"
  extern "thb_status_t thb_activity_wait(thb_activity_t activity, uint32_t mask, uint32_t known_signals, " \
         "uint32_t timeout_ms, uint32_t *signals_out, thb_error_t **error_out)"
  extern "thb_status_t thb_activity_complete(thb_activity_t activity, thb_encoding_t encoding, " \
         "const void *result, size_t result_len, uint32_t timeout_ms, thb_error_t **error_out)"
  extern "thb_status_t thb_activity_report_cancelled(thb_activity_t activity, thb_encoding_t encoding, " \
         "const void *details, size_t details_len, uint32_t timeout_ms, thb_error_t **error_out)"

  extern "thb_status_t thb_activity_fail(thb_activity_t activity, const char *failure_json, size_t failure_len, " \
         "uint32_t timeout_ms, thb_error_t **error_out)"

  extern "const void *thb_details_data(const thb_details_t *details, size_t index, size_t *len_out)"
  extern "int32_t thb_details_attempt(const thb_details_t *details)"
  extern "void thb_details_free(thb_details_t *details)"

  ABI = 1
  NONE, JSON = 0, 1
  CANCEL_REQUESTED, PAUSED = 1, 2
  STOP = 4 | 8 | 16 # RESET, GONE, LEASE_LOST: this attempt must end
  WHILE_PAUSED = PAUSED | CANCEL_REQUESTED | STOP # while only PAUSED is set, the work waits
  TIMEOUT_MS = 10_000

  # Calls a function with error_out as its last argument. Raises an exception with the error's message.
  def self.call(name, *arguments)
    error = out
    status = send("thb_#{name}", *arguments, error)
    return if status.zero?
    message = "#{thb_status_name(status)}: #{thb_error_message(error.ptr)}"
    thb_error_free(error.ptr)
    raise message
  end

  # Allocates memory for one output: a pointer, a handle or a number.
  def self.out = Fiddle::Pointer.malloc(Fiddle::SIZEOF_LONG_LONG, Fiddle::RUBY_FREE).tap { |room| room[0, 8] = "\0" * 8 }
end

# Returns the last item that the previous attempt recorded, or 0.
def last_item(activity)
  details, len = THB.out, THB.out
  THB.call(:activity_get_details, activity, THB::TIMEOUT_MS, details)
  data = THB.thb_details_data(details.ptr, 0, len)
  text = data.null? ? "0" : data[0, len[0, 8].unpack1("Q")]
  item = Integer(text, exception: false) or raise "the previous attempt's details are not an item: #{text}"
  puts "attempt #{THB.thb_details_attempt(details.ptr)} resumes after item #{item}"
  THB.thb_details_free(details.ptr)
  item
end

def work(activity, items)
  room = THB.out
  (last_item(activity) + 1).upto(items) do |item|
    sleep 0.1 # the work
    puts "item #{item} done"

    json = item.to_s
    THB.call(:activity_heartbeat, activity, THB::JSON, json, json.bytesize, room)
    while (signals = room[0, 4].unpack1("L")) & THB::WHILE_PAUSED == THB::PAUSED # heartbeats continue
      THB.call(:activity_wait, activity, THB::WHILE_PAUSED, THB::PAUSED, THB::TIMEOUT_MS, room)
    end
    if signals.anybits?(THB::CANCEL_REQUESTED)
      THB.call(:activity_report_cancelled, activity, THB::NONE, nil, 0, THB::TIMEOUT_MS)
      return "cancelled"
    end
    return "stopped" if signals.anybits?(THB::STOP)
  end
  json = items.to_s
  THB.call(:activity_complete, activity, THB::JSON, json, json.bytesize, THB::TIMEOUT_MS)
  "completed"
end

$stdout.sync = true
abort "the library has another ABI version than this program needs: install a matching library" unless THB.thb_check_abi(THB::ABI).zero?
THB.call(:connect, nil, 0)
begin
  activity = THB.out
  options = '{"from_env": true}'
  THB.call(:activity_open, nil, 0, options, options.bytesize, activity)
  puts work(activity[0, 8].unpack1("Q"), Integer(ARGV.fetch(0, 20)))
rescue StandardError => error
  # After this report the server retries at once, and shows the reason. It refuses the report if the attempt is over.
  failure = JSON.generate({ message: error.message, type: error.class.name })
  THB.thb_activity_fail(activity[0, 8].unpack1("Q"), failure, failure.bytesize, THB::TIMEOUT_MS, nil) if activity
  raise
ensure
  THB.thb_disconnect(THB::TIMEOUT_MS, nil) # sends the last record and closes the activity
end
