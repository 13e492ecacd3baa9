import Foundation

/// A run of bytes in an open file, readable from any task: a whole file, a member of an archive, or
/// bytes in memory.
package final class FileRegion: Sendable {
  /// The open descriptor, closed with the last region that uses it.
  private let file: Descriptor
  /// The name for messages.
  package let name: String
  /// Where the run starts in the file, in bytes.
  package let start: Int
  /// How many bytes it takes.
  package let length: Int

  private init(file: Descriptor, name: String, start: Int, length: Int) {
    (self.file, self.name, self.start, self.length) = (file, name, start, length)
  }

  /// Opens a whole regular file; a folder, pipe or device is refused.
  package convenience init(path: String) throws(TesseraError) {
    // Without O_NONBLOCK a pipe would wait here for its writer.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TesseraError.system("open", path, errno) }
    let file = Descriptor(descriptor)
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw TesseraError.system("look at", path, errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let code = status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL
      throw TesseraError.system("read as a regular file", path, code)
    }
    self.init(file: file, name: path, start: 0, length: Int(status.st_size))
  }

  /// Keeps a copy of bytes in memory: no file, to which limits on the size of files would apply.
  package convenience init(bytes: [UInt8], name: String) {
    self.init(file: Descriptor(memory: bytes), name: name, start: 0, length: bytes.count)
  }

  /// Fills a file that has no name and vanishes with the region; `fill` appends to it.
  package convenience init(
    temporaryFor name: String,
    _ fill: (_ append: (ArraySlice<UInt8>) throws -> Void) throws -> Void
  ) throws {
    let folder = NSTemporaryDirectory()
    var path = Array("\(folder)/tessera-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&path)
    guard descriptor >= 0 else {
      throw TesseraError.system("make a temporary file in", folder, errno)
    }
    let file = Descriptor(descriptor)
    unsafe unlink(path)
    try fill { bytes in try file.append(bytes, name: folder) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw TesseraError.system("look at", folder, errno)
    }
    self.init(file: file, name: name, start: 0, length: Int(status.st_size))
  }

  /// A part of this region, which must lie inside.
  package func part(_ range: Range<Int>, name: String) -> FileRegion {
    precondition(range.lowerBound >= 0 && range.upperBound <= length, "a part lies inside")
    return FileRegion(file: file, name: name, start: start + range.lowerBound, length: range.count)
  }

  /// The descriptor for the system; valid as long as the region lives, negative for bytes in memory.
  package var descriptor: Int32 { file.number }

  /// The region's bytes where they lie in memory, nil where they lie in a file; valid as long as the region lives.
  package var memory: UnsafeRawBufferPointer? {
    unsafe file.memory.map { unsafe UnsafeRawBufferPointer(rebasing: $0[start..<start + length]) }
  }

  /// Fills a buffer from `offset` on; the bytes must lie inside the region.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(TesseraError)
  {
    precondition(offset >= 0 && buffer.count <= length - offset, "a read stays inside")
    var done = 0
    while done < buffer.count {
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      if let memory = unsafe file.memory {
        let first = start + offset
        return unsafe rest.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: memory[first..<first + rest.count])
        )
      }
      let position = off_t(start + offset + done)
      let got = unsafe pread(file.number, rest.baseAddress, rest.count, position)
      if got < 0, errno == EINTR { continue }
      // Zero bytes: the file became shorter after it was opened.
      guard got > 0 else {
        throw TesseraError.system("read", name, got < 0 ? errno : EIO)
      }
      done += got
    }
  }

  /// Reads a range of bytes, which must lie inside the region.
  package func bytes(_ range: Range<Int>) throws(TesseraError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    do {
      try unsafe bytes.withUnsafeMutableBytes { buffer in
        try unsafe read(at: range.lowerBound, into: buffer)
      }
    } catch let error as TesseraError {
      throw error
    } catch {
      preconditionFailure("a read throws nothing else: \(error)")
    }
    return bytes
  }
}

/// An open file descriptor, or bytes in memory in its place, until nobody holds it any more.
@safe private final class Descriptor: Sendable {
  let number: Int32
  /// Written to by nobody after `init`.
  nonisolated(unsafe) let memory: UnsafeRawBufferPointer?

  init(_ number: Int32) {
    self.number = number
    unsafe memory = nil
  }

  init(memory bytes: [UInt8]) {
    number = -1
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    unsafe copy.copyBytes(from: bytes)
    unsafe memory = UnsafeRawBufferPointer(copy)
  }

  deinit {
    unsafe memory?.deallocate()
    if number >= 0 { close(number) }
  }

  func append(_ bytes: ArraySlice<UInt8>, name: String) throws(TesseraError) {
    var rest = bytes
    while !rest.isEmpty {
      let written = unsafe rest.withUnsafeBytes { bytes in
        unsafe write(number, bytes.baseAddress, bytes.count)
      }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw TesseraError.system("write", name, errno) }
      rest = rest.dropFirst(written)
    }
  }
}
