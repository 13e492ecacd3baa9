import CKernels
package import TesseraCore

extension SignalEncoder {
  /// The doubles of a row: every channel's state.
  package var rowCount: Int { channels * stateShape.reduce(1, *) }

  /// Encodes the next samples.
  ///
  /// - Parameters:
  ///   - samples: `[count, channels]`, row-major.
  ///   - every: A row is due after each sample whose number, from 1 on, is a multiple of this.
  /// - Returns: The rows that are due, `[rows, channels, state]`.
  /// - Throws: `TesseraError` for a sample or a state that is not finite.
  package func encode(_ samples: [Double], every: Int) throws(TesseraError) -> [Double] {
    if let bad = samples.firstIndex(where: { !$0.isFinite }) {
      throw .limit("sample \(seen + bad / channels) is \(samples[bad])")
    }
    let count = samples.count / channels
    let due = (seen + count) / every - seen / every
    let rows = DoubleStorage(zeros: due * rowCount)
    let source = DoubleStorage(samples)
    var done = 0
    if case .legs(_, let exact) = kernel, exact > 0 {
      // These steps have matrices of their own; they are few.
      while done < count, seen + done < Int(exact) {
        exactStep(samples, at: done, every: every, into: rows)
        done += 1
      }
    }
    if case .varying(let varying) = kernel {
      while done < count {
        try matrixStep(varying, samples, at: done, every: every, into: rows)
        done += 1
      }
    }
    if done < count {
      for channel in 0..<channels {
        step(source, from: done, count: count - done, channel, every: every, into: rows)
      }
    }
    seen += count
    let values = rows.values
    guard values.allSatisfy(\.isFinite) else {
      throw .limit("a state overflows before sample \(seen); shorten the step or use zoh")
    }
    return values
  }

  /// The states after the last sample, as a row.
  package var lastRow: [Double] {
    let scales = scales.values
    return states.flatMap { state in
      zip(state.values.prefix(rowCount / channels), scales).map { $0 * $1 }
    }
  }

  private func exactStep(
    _ samples: [Double],
    at position: Int,
    every: Int,
    into rows: DoubleStorage
  ) {
    let number = seen + position
    let order = system.order
    let matrices = number == 0 ? nil : LegsStep.exactPaper(order: order, step: number)
    let scales = scales.values
    for channel in 0..<channels {
      let sample = samples[position * channels + channel]
      var next = [Double](repeating: 0, count: order)
      if let (a, b) = matrices {
        let state = states[channel].values
        for n in 0..<order {
          var sum = b[n] * sample
          for k in 0...n { sum.addProduct(a[n, k], state[k]) }
          next[n] = sum
        }
      } else {
        next[0] = sample
      }
      for n in 0..<order { unsafe states[channel].pointer[n] = next[n] }
      guard (number + 1) % every == 0 else { continue }
      let row = (number + 1) / every - 1 - seen / every
      let start = (row * channels + channel) * order
      for n in 0..<order { unsafe rows.pointer[start + n] = next[n] * scales[n] }
    }
  }

  /// One step with matrices of its own; before the first that there are, the state is that of a constant.
  private func matrixStep(
    _ varying: VaryingSystem,
    _ samples: [Double],
    at position: Int,
    every: Int,
    into rows: DoubleStorage
  ) throws(TesseraError) {
    let number = seen + position
    let order = system.order
    let isComplex = varying.dense.isComplex
    var matrices: (a: [ComplexNumber], b: [ComplexNumber])?
    if number >= varying.rule.firstStep {
      let pair = try LegsStep(number, first: varying.rule.firstStep).matrices(of: varying)
      matrices = (pair.a.complexValues, pair.b.complexValues)
    }
    let scales = scales.values
    for channel in 0..<channels {
      let sample = samples[position * channels + channel]
      let stored = states[channel].values
      let state = (0..<order).map {
        isComplex ? ComplexNumber(stored[2 * $0], stored[2 * $0 + 1]) : ComplexNumber(stored[$0])
      }
      var next = [ComplexNumber](repeating: .zero, count: order)
      if let (a, b) = matrices {
        let matrix = ComplexMatrix(rows: order, columns: order, elements: a)
        next = zip(matrix.times(state), b).map { $0 + sample * $1 }
      } else {
        // The constant is the first function of LegS, and that of the frequency 0.
        next[isComplex ? order / 2 : 0] = ComplexNumber(sample)
      }
      let values = isComplex ? next.flatMap { [$0.real, $0.imaginary] } : next.map(\.real)
      for (n, value) in values.enumerated() { unsafe states[channel].pointer[n] = value }
      guard (number + 1) % every == 0 else { continue }
      let row = (number + 1) / every - 1 - seen / every
      let start = (row * channels + channel) * doubles
      for (n, value) in values.enumerated() {
        unsafe rows.pointer[start + n] = value * scales[n]
      }
    }
  }

  private func step(
    _ source: DoubleStorage,
    from start: Int,
    count: Int,
    _ channel: Int,
    every: Int,
    into rows: DoubleStorage
  ) {
    let signal = unsafe ckernels_signal(
      samples: source.pointer + start * channels + channel,
      stride: channels,
      count: count,
      first: UInt64(seen + start)
    )
    let before = (seen + start) / every - seen / every
    let target = unsafe ckernels_rows(
      rows: rows.pointer + before * rowCount + channel * (rowCount / channels),
      stride: rowCount,
      every: UInt64(every),
      scales: scales.pointer
    )
    unsafe run(signal, on: states[channel].pointer, into: target)
  }

  /// Gives a channel's samples to the kernel of the system's form.
  private func run(
    _ signal: ckernels_signal,
    on state: UnsafeMutablePointer<Double>,
    into target: ckernels_rows
  ) {
    let (isa, order) = (KernelInstructionSet.best, system.order)
    let work = unsafe scratch.pointer
    switch kernel {
    case .legs(let convention, _):
      let weights = unsafe norms.pointer
      unsafe ckernels_legs_steps(isa, convention, order, weights, work, signal, state, target)
    case .sweeps(let operation, let keep, let take, let input, let after):
      var sweeps = unsafe operation.sweeps
      let (input, after) = unsafe (input.pointer, after.pointer)
      unsafe ckernels_sweep_steps(
        isa,
        order,
        &sweeps,
        keep,
        take,
        input,
        after,
        work,
        signal,
        state,
        target
      )
    case .varying: preconditionFailure("these steps have matrices of their own")
    case .rotation(let rotation):
      unsafe run(rotation, signal, on: state, into: target)
    case .dense(let columns, let input):
      let (columns, input) = unsafe (columns.pointer, input.pointer)
      unsafe ckernels_dense_steps(
        isa,
        doubles,
        padded,
        columns,
        input,
        work,
        signal,
        state,
        target
      )
    }
  }

  private func run(
    _ rotation: Rotation,
    _ signal: ckernels_signal,
    on state: UnsafeMutablePointer<Double>,
    into target: ckernels_rows
  ) {
    unsafe ckernels_rotation_steps(
      KernelInstructionSet.best,
      system.order,
      rotation.cosines.pointer,
      rotation.sines.pointer,
      rotation.keep,
      rotation.take,
      rotation.input.pointer,
      rotation.ends.pointer,
      rotation.gains.pointer,
      signal,
      state,
      target
    )
  }
}
