-- Does the work of a Temporal Activity in LuaJIT. Needs only the library:
--
--     luajit activity.lua ITEMS
--
-- Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
-- finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.

local ffi = require("ffi")
local bit = require("bit")

-- Declarations copied from temporal_heartbeat.h. (For all of them: cc -E -P temporal_heartbeat.h)
ffi.cdef [[
typedef int32_t thb_status_t;
typedef int32_t thb_encoding_t;
typedef uint64_t thb_activity_t;
typedef struct thb_error_t thb_error_t;
typedef struct thb_details_t thb_details_t;

thb_status_t thb_check_abi(uint32_t abi);
const char *thb_status_name(thb_status_t status);
const char *thb_error_message(const struct thb_error_t *error);
void thb_error_free(struct thb_error_t *error);

thb_status_t thb_connect(const char *options_json, size_t options_len, struct thb_error_t **error_out);
thb_status_t thb_disconnect(uint32_t timeout_ms, struct thb_error_t **error_out);

thb_status_t thb_activity_open(const void *token, size_t token_len, const char *options_json, size_t options_len,
                               thb_activity_t *activity_out, struct thb_error_t **error_out);
thb_status_t thb_activity_get_details(thb_activity_t activity, uint32_t timeout_ms, struct thb_details_t **details_out,
                                      struct thb_error_t **error_out);
thb_status_t thb_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, const void *details,
                                    size_t details_len, uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_wait(thb_activity_t activity, uint32_t mask, uint32_t known_signals, uint32_t timeout_ms,
                               uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_complete(thb_activity_t activity, thb_encoding_t encoding, const void *result,
                                   size_t result_len, uint32_t timeout_ms, struct thb_error_t **error_out);
thb_status_t thb_activity_report_cancelled(thb_activity_t activity, thb_encoding_t encoding, const void *details,
                                           size_t details_len, uint32_t timeout_ms, struct thb_error_t **error_out);

thb_status_t thb_activity_fail(thb_activity_t activity, const char *failure_json, size_t failure_len, uint32_t timeout_ms,
                               struct thb_error_t **error_out);

const void *thb_details_data(const struct thb_details_t *details, size_t index, size_t *len_out);
int32_t thb_details_attempt(const struct thb_details_t *details);
void thb_details_free(struct thb_details_t *details);
]]

local ABI, NONE, JSON, CANCEL_REQUESTED, PAUSED = 1, 0, 1, 1, 2
local STOP = 4 + 8 + 16 -- RESET, GONE, LEASE_LOST: this attempt must end
local WHILE_PAUSED = PAUSED + CANCEL_REQUESTED + STOP -- while only PAUSED is set, the work waits
local TIMEOUT_MS = 10000

local thb = ffi.load(os.getenv("TEMPORAL_HEARTBEAT_LIBRARY") or "libtemporal_heartbeat.so.0")
local error_out = ffi.new("thb_error_t *[1]")
local signals_out = ffi.new("uint32_t[1]")

-- Raises an error with the library's message if the status isn't THB_OK.
local function must(status)
    if status == 0 then return end
    local message = ffi.string(thb.thb_status_name(status)) .. ": " .. ffi.string(thb.thb_error_message(error_out[0]))
    thb.thb_error_free(error_out[0])
    error(message, 0)
end

-- Returns the last item that the previous attempt recorded, or 0.
local function last_item(activity)
    local details_out, len = ffi.new("thb_details_t *[1]"), ffi.new("size_t[1]")
    must(thb.thb_activity_get_details(activity, TIMEOUT_MS, details_out, error_out))
    local details = details_out[0]
    local data = thb.thb_details_data(details, 0, len)
    local text = data ~= nil and ffi.string(data, len[0]) or "0"
    local item = tonumber(text) or error("the previous attempt's details are not an item: " .. text, 0)
    print("attempt " .. thb.thb_details_attempt(details) .. " resumes after item " .. item)
    thb.thb_details_free(details)
    return item
end

local function work(activity, items)
    for item = last_item(activity) + 1, items do
        os.execute("sleep 0.1") -- the work
        print("item " .. item .. " done")

        local json = tostring(item)
        must(thb.thb_activity_heartbeat(activity, JSON, json, #json, signals_out, error_out))
        while bit.band(signals_out[0], WHILE_PAUSED) == PAUSED do -- heartbeats continue
            must(thb.thb_activity_wait(activity, WHILE_PAUSED, PAUSED, TIMEOUT_MS, signals_out, error_out))
        end
        if bit.band(signals_out[0], CANCEL_REQUESTED) ~= 0 then
            must(thb.thb_activity_report_cancelled(activity, NONE, nil, 0, TIMEOUT_MS, error_out))
            return "cancelled"
        end
        if bit.band(signals_out[0], STOP) ~= 0 then return "stopped" end
    end
    local json = tostring(items)
    must(thb.thb_activity_complete(activity, JSON, json, #json, TIMEOUT_MS, error_out))
    return "completed"
end

io.stdout:setvbuf("line")
if thb.thb_check_abi(ABI) ~= 0 then
    error("the library has another ABI version than this program needs: install a matching library", 0)
end
must(thb.thb_connect(nil, 0, error_out))
local activity_out = ffi.new("thb_activity_t[1]")
local options = '{"from_env": true}'
must(thb.thb_activity_open(nil, 0, options, #options, activity_out, error_out))
local fine, said = pcall(work, activity_out[0], tonumber(arg[1]) or 20)
if not fine then -- a failed attempt is retried at once, and shows its reason; refused if the attempt is over
    local escaped = tostring(said):gsub('[%c"\\]', function(char) return ("\\u%04x"):format(char:byte()) end)
    local failure = '{"message": "' .. escaped .. '"}'
    thb.thb_activity_fail(activity_out[0], failure, #failure, TIMEOUT_MS, nil)
end
thb.thb_disconnect(TIMEOUT_MS, nil) -- sends the last record and closes the activity
print(said)
os.exit(fine and 0 or 1)
