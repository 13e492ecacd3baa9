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

/// The CRC-32 of zip and PNG, piece by piece.
struct ZipChecksum {
  private(set) var value: UInt32 = 0

  /// Adds bytes.
  mutating func add(_ bytes: ArraySlice<UInt8>) {
    value = unsafe bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      return UInt32(truncatingIfNeeded: unsafe crc32_z(UInt(value), start, bytes.count))
    }
  }
}
