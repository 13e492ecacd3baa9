/// The bytes of a pickle, read forward through a small window.
struct PickleInput {
  let region: FileRegion
  /// Where the next byte lies in the region.
  private(set) var position: Int
  private var window: [UInt8] = []
  private var windowStart = 0

  private static let windowSize = 1 << 15
  /// The longest line of the text opcodes: decimal numbers, names, escaped strings.
  private static let longestLine = 1 << 16

  init(region: FileRegion, at position: Int) {
    self.region = region
    self.position = position
  }

  /// How many bytes are left.
  var remaining: Int { region.length - position }

  func refusal(_ cause: String, at place: Int? = nil) -> CheckpointFormatError {
    let place = "pickle byte \(place ?? position)"
    return CheckpointFormatError(file: region.name, place: place, cause: cause)
  }

  mutating func byte() throws -> UInt8 {
    let offset = position - windowStart
    if offset < 0 || offset >= window.count {
      guard remaining > 0 else { throw refusal("the pickle ends without STOP: it is cut short") }
      let count = min(PickleInput.windowSize, remaining)
      window = try region.bytes(position..<position + count)
      windowStart = position
    }
    let value = window[position - windowStart]
    position += 1
    return value
  }

  /// Passes over bytes and returns where they lie.
  mutating func skip(_ count: Int) throws -> Range<Int> {
    guard count <= remaining else {
      throw refusal("claims \(count) bytes where \(remaining) are left: it is cut short")
    }
    let start = position
    position += count
    return start..<position
  }

  mutating func bytes(_ count: Int) throws -> [UInt8] {
    let start = position
    let range = try skip(count)
    let offset = start - windowStart
    if offset >= 0, offset + count <= window.count {
      return Array(window[offset..<offset + count])
    }
    return try region.bytes(range)
  }

  /// A little-endian number of `width` bytes that fits `Int`.
  mutating func number(width: Int) throws -> Int {
    var value: UInt64 = 0
    for shift in 0..<width { value |= UInt64(try byte()) << UInt64(8 * shift) }
    guard let number = Int(exactly: value) else { throw refusal("a length of \(value) bytes") }
    return number
  }

  /// A text up to the next line feed.
  mutating func line() throws -> [UInt8] {
    var line: [UInt8] = []
    while true {
      let next = try byte()
      if next == 0x0A { return line }
      guard line.count < PickleInput.longestLine else { throw refusal("a line that is too long") }
      line.append(next)
    }
  }
}
