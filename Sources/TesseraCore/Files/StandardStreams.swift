import Foundation

/// Standard output: the results that a program reads.
///
/// A result that cannot be written is an error.
package enum StandardOutput {
  /// Writes text as it is.
  ///
  /// - Throws: `TesseraError` where the reader has gone, the disk is full or the stream is closed.
  package static func write(_ text: String) throws(TesseraError) {
    let code = StandardStream.write(text, to: STDOUT_FILENO)
    guard code == 0 else {
      throw TesseraError.system("write the result", "standard output", code)
    }
  }

  /// Writes a line.
  ///
  /// - Throws: As ``write(_:)``.
  package static func print(_ line: String) throws(TesseraError) { try write(line + "\n") }

  /// Writes a value as a JSON document.
  ///
  /// - Throws: As ``write(_:)``, and where the value has no JSON form.
  package static func writeDocument(_ value: some Encodable) throws {
    try write(String(decoding: try CanonicalJSON.document(value), as: UTF8.self))
  }
}

/// Standard error: progress, summaries and errors, never data.
///
/// What it cannot take is lost, and the work goes on.
package enum StandardError {
  /// Writes text as it is.
  package static func write(_ text: String) { _ = StandardStream.write(text, to: STDERR_FILENO) }
}

extension StandardError {
  /// Writes an error as the one line that it is, however long names are.
  package static func write(error: TesseraError) {
    write("Error: \(error.description.shortened)\n")
  }
}

/// The three streams that a program starts with.
package enum StandardStream {
  /// Makes failures of the streams errors of single writes, once at the start of the program.
  ///
  /// A reader that has gone is no signal. A stream that is closed is replaced by one that takes nothing:
  /// the next file would get its number, and messages would be written into it.
  package static func prepare() {
    signal(SIGPIPE, SIG_IGN)
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      let folder = unsafe open("/", O_RDONLY | O_DIRECTORY)
      if folder >= 0, folder != descriptor {
        dup2(folder, descriptor)
        close(folder)
      }
    }
  }

  /// Writes all of a text; returns 0, or the `errno` of the call that failed.
  fileprivate static func write(_ text: String, to descriptor: Int32) -> Int32 {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { bytes in
        unsafe Foundation.write(descriptor, bytes.baseAddress, bytes.count)
      }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        unsafe poll(&wanted, 1, -1)
      } else if errno != EINTR {
        return errno
      }
    }
    return 0
  }
}

extension String {
  /// The text without its middle where it is longer than anybody reads: a file's names may have any length.
  fileprivate var shortened: String {
    let (head, tail) = (6000, 2000)
    guard utf8.count > 2 * (head + tail), unicodeScalars.count > head + tail else { return self }
    return "\(String(unicodeScalars.prefix(head)))…\(String(unicodeScalars.suffix(tail)))"
  }

  /// The text with control characters escaped: names from a file stay on one line and steer no
  /// terminal.
  package var oneLine: String {
    unicodeScalars.reduce(into: "") { text, scalar in
      let isControl = scalar.properties.generalCategory == .control || scalar.value == 0x2028
      text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
    }
  }
}
