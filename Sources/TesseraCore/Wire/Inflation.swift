import CZlib

/// Unpacks a deflate stream piece by piece through zlib.
@safe package struct Inflation: ~Copyable {
  /// What stands around the deflated data.
  package enum Wrapper: Int32 {
    /// Nothing, as in zip.
    case none = -15
    /// The header and checksum of gzip.
    case gzip = 31
  }

  private let stream: UnsafeMutablePointer<z_stream>
  private var isAtEnd = false
  private let name: String
  private let wrapper: Wrapper
  /// What one step gives at most.
  private var output = [UInt8](repeating: 0, count: 1 << 18)

  /// Starts a stream; `name` stands in errors.
  package init(name: String, wrapper: Wrapper = .none) throws(TesseraError) {
    (self.name, self.wrapper) = (name, wrapper)
    unsafe stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    let status = unsafe inflateInit2_(
      stream,
      wrapper.rawValue,
      ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size)
    )
    guard status == Z_OK else {
      unsafe stream.deallocate()
      throw TesseraError.malformed("zlib could not start", file: name)
    }
  }

  deinit {
    unsafe inflateEnd(stream)
    unsafe stream.deallocate()
  }

  /// Unpacks the next piece of the stream and passes on all that comes of it.
  ///
  /// The last bytes of a stream may stand for any amount of output, so a piece is done only when zlib
  /// has nothing left to give, not when the piece is read.
  package mutating func add(
    _ piece: ArraySlice<UInt8>,
    _ consume: (ArraySlice<UInt8>) throws -> Void
  ) throws {
    var input = Array(piece)
    var consumed = 0
    var isFull = false
    while consumed < input.count || isFull {
      if isAtEnd { try startNextMember() }
      let (read, produced) = try step(&input, from: consumed)
      guard read > 0 || produced > 0 || isAtEnd || consumed == input.count else { throw damaged }
      consumed += read
      isFull = produced == output.count && !isAtEnd
      if produced > 0 { try consume(output[..<produced]) }
    }
  }

  /// What follows the end of a stream: another one in gzip, nothing elsewhere.
  private mutating func startNextMember() throws(TesseraError) {
    guard wrapper == .gzip else {
      throw TesseraError.malformed("data after the deflate stream", file: name)
    }
    guard unsafe inflateReset(stream) == Z_OK else { throw damaged }
    isAtEnd = false
  }

  private var damaged: TesseraError {
    TesseraError.malformed("its deflate stream is damaged", file: name)
  }

  /// Runs zlib once; returns the bytes read and the bytes made.
  private mutating func step(
    _ input: inout [UInt8],
    from start: Int
  ) throws(TesseraError) -> (read: Int, produced: Int) {
    let available = input.count - start
    let capacity = output.count
    let status = unsafe input.withUnsafeMutableBufferPointer { input in
      unsafe output.withUnsafeMutableBufferPointer { output in
        unsafe stream.pointee.next_in = input.baseAddress?.advanced(by: start)
        unsafe stream.pointee.avail_in = UInt32(available)
        unsafe stream.pointee.next_out = output.baseAddress
        unsafe stream.pointee.avail_out = UInt32(capacity)
        return unsafe inflate(stream, Z_NO_FLUSH)
      }
    }
    // No progress (Z_BUF_ERROR) is what a call without input gives when nothing was left.
    guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else { throw damaged }
    isAtEnd = status == Z_STREAM_END
    let read = available - Int(unsafe stream.pointee.avail_in)
    let produced = capacity - Int(unsafe stream.pointee.avail_out)
    return (read, produced)
  }

  /// Ends the stream; an unfinished one is an error.
  package consuming func finish() throws(TesseraError) {
    guard isAtEnd else {
      throw TesseraError.malformed("its deflate stream is cut short", file: name)
    }
  }
}

extension Inflation {
  /// What a zlib stream in front of other bytes holds, also a stream that is cut short.
  ///
  /// - Parameters:
  ///   - bytes: The stream.
  ///   - most: The most bytes that it may hold.
  /// - Returns: Nil for a damaged stream, and for one that holds more.
  package static func zlib(_ bytes: ArraySlice<UInt8>, most: Int) -> [UInt8]? {
    var input = Array(bytes)
    // Deflate packs 1 to 1032 at most.
    var output = [UInt8](repeating: 0, count: min(most, 1032 * input.count + 64))
    var stream = unsafe z_stream()
    guard
      unsafe inflateInit2_(&stream, 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { return nil }
    defer { unsafe inflateEnd(&stream) }
    let status = unsafe input.withUnsafeMutableBufferPointer { input in
      unsafe output.withUnsafeMutableBufferPointer { output in
        unsafe stream.next_in = input.baseAddress
        unsafe stream.avail_in = UInt32(clamping: input.count)
        unsafe stream.next_out = output.baseAddress
        unsafe stream.avail_out = UInt32(clamping: output.count)
        return unsafe inflate(&stream, Z_NO_FLUSH)
      }
    }
    let left = unsafe (input: stream.avail_in, output: stream.avail_out)
    guard status == Z_STREAM_END || status == Z_BUF_ERROR || (status == Z_OK && left.input == 0)
    else { return nil }
    return Array(output.dropLast(Int(left.output)))
  }
}

/// The CRC-32 of zip and PNG, piece by piece.
package struct ZipChecksum {
  private(set) var value: UInt32 = 0

  /// The checksum of bytes that are all there.
  package static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var sum = ZipChecksum()
    sum.add(bytes)
    return sum.value
  }

  /// Adds bytes.
  mutating func add(_ bytes: ArraySlice<UInt8>) {
    value = unsafe bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      return UInt32(truncatingIfNeeded: unsafe crc32_z(UInt(value), start, bytes.count))
    }
  }
}
